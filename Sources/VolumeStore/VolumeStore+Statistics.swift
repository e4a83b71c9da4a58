import FileSystem
public import KeyValue
public import Primitives

/// What a volume holds.
public struct StoredStatistics: Sendable, Equatable {
    public var inodes: UInt64
    /// Bytes of stored blocks, before compression.
    public var storedBytes: UInt64
    public var store: StoreStatus

    /// Bytes of memory that the store uses.
    public var usedBytes: UInt64 { store.usedBytes }
    /// Bytes of memory that the store may use: its own limit, or else what its machine has.
    public var capacityBytes: UInt64 {
        store.limitBytes != 0 ? store.limitBytes : store.machineBytes
    }
}

extension VolumeStore {
    /// Two trips: the volume's counters, and what the store says of itself.
    public func statistics() throws(Errno) -> StoredStatistics {
        let answers = try read([
            .fields(key: schema.volume, [Field.inodes, Field.blocks])
        ])
        guard case .values(let values) = answers[0], values.count == 2 else {
            throw answerMismatch()
        }
        let status = try translated { () throws(StoreError) in try store.status() }
        let blocks = try counter(values[1], "blocks")
        let (bytes, overflow) = blocks.multipliedReportingOverflow(
            by: UInt64(settings.blockSize.bytes))
        return StoredStatistics(
            inodes: try counter(values[0], "inodes"), storedBytes: overflow ? .max : bytes,
            store: status)
    }

    /// A counter of the volume's; one that fell below 0 by a crash counts as 0.
    private func counter(_ value: Bytes?, _ name: String) throws(Errno) -> UInt64 {
        guard let value else { return 0 }
        guard let number = Int64(decimal: value) else {
            throw malformed(schema.volume, "\(name) is no number")
        }
        return UInt64(max(0, number))
    }
}
