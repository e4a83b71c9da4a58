public import Primitives

extension VolumeStore {
    /// Runs `body`, telling it whether no other session can store anything before it returns: one that
    /// joins meanwhile waits for its end. `body` is short: some trips.
    public func whileAlone<Result>(
        _ body: (_ isAlone: Bool) throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard membership.beginLoneCall() != nil else { return try body(false) }
        defer { membership.endLoneCall() }
        return try body(true)
    }
}
