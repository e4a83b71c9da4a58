/// Whether a reply is looked for again and again before its reader sleeps.
///
/// A server on the same machine answers within some tens of microseconds, in which a sleeping thread would
/// not be awake again on a CPU that has halted. A server that is farther away is worth a look now and then.
struct ReplyPolling: Equatable {
    /// From here on sleeping costs less than looking.
    static let limitNanoseconds: Int64 = 50_000
    /// After this many failures in a row one wait in 64 looks.
    private static let maximumFailures = 6

    private var failures = 0
    /// Waits that sleep at once.
    private var pause = 0

    /// Whether the next wait looks.
    mutating func begin() -> Bool {
        guard pause > 0 else { return true }
        pause -= 1
        return false
    }

    mutating func end(foundReply: Bool) {
        failures = foundReply ? 0 : min(failures + 1, Self.maximumFailures)
        pause = (1 << failures) - 1
    }
}
