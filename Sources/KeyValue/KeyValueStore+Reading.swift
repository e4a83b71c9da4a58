extension KeyValueStore {
    /// The answers to `reads`, `nil` for those that meet a key of the wrong kind. One trip; when there is such
    /// a key, one for each read, so that a damaged record keeps nobody from the others.
    public func readEach(_ reads: [Read]) throws(StoreError) -> [ReadAnswer?] {
        do throws(StoreError) {
            return try read(reads)
        } catch {
            guard error == .wrongKind else { throw error }
        }
        return try reads.map { (one) throws(StoreError) in
            do throws(StoreError) {
                return try read([one]).first
            } catch {
                guard error == .wrongKind else { throw error }
                return nil
            }
        }
    }
}

extension KeyValueStore {
    /// Stores blocks for no session.
    public func store(
        _ writes: [BlockWrite], then batch: Batch?
    ) throws(StoreError) -> StoreOutcome { try store(writes, then: batch, by: nil) }

    /// Deletes keys for no session.
    public func drop(_ keys: [Bytes]) throws(StoreError) { try drop(keys, by: nil) }
}
