/// Decides who writes and who reads on a connection that several callers share. It performs no I/O and
/// has no clock, so a test drives it with plain values.
///
/// Each caller submits one exchange and gets a ticket; tickets ascend, and replies come in their order:
///
///     0 … answered … written … submitted
///
/// The caller who finds nobody writing writes, for all who have come meanwhile. The caller who is done
/// writing reads when nobody does, for all whose replies come before its own and for those whose replies
/// have come with it; then the oldest one left reads. So a lone caller does its own I/O on its own
/// thread, and callers who meet share writes and reads.
struct PipelineState: Equatable {
    enum Action: Equatable {
        /// Write these exchanges, then call `didWrite`.
        case write(tickets: Range<Int>)
        /// Read the replies of the oldest unanswered exchange, then call `didAnswer`.
        case read
        /// Wait for a signal.
        case wait
        /// The caller's exchange is answered.
        case done
    }

    /// What one who wrote or read does next, and whom else it tells.
    struct Step: Equatable {
        var action: Action
        /// The exchange that has just been answered, when its caller has to be woken.
        var wake: Int?
        /// The exchange whose caller has to go on reading.
        var nextReader: Int?
    }

    private(set) var answered = 0
    private(set) var written = 0
    private(set) var submitted = 0
    private(set) var isWriting = false
    /// The ticket of the exchange whose caller reads, or has been told to.
    private(set) var reader: Int?
    private(set) var isBroken = false

    var isIdle: Bool { answered == submitted }

    /// Callers do not submit to a broken connection.
    mutating func submit() -> (ticket: Int, action: Action) {
        precondition(!isBroken, "an exchange was submitted to a broken connection")
        let ticket = submitted
        submitted += 1
        return (ticket, isWriting ? .wait : beginWrite())
    }

    private mutating func beginWrite() -> Action {
        isWriting = true
        defer { written = submitted }
        return .write(tickets: written..<submitted)
    }

    mutating func didWrite(own: Int) -> Step {
        precondition(isWriting && !isBroken, "nobody was writing")
        if written < submitted { return Step(action: beginWrite()) }
        isWriting = false
        // Whoever has been answered or told to read meanwhile has been sent a signal, or is about to be,
        // and takes it: one that came later would reach the next exchange of the same memory.
        guard reader == nil, answered < written else { return Step(action: .wait) }
        // A writer whose own exchange has been answered meanwhile leaves the reading to the oldest other.
        reader = own < answered ? answered : own
        return own < answered
            ? Step(action: .wait, nextReader: answered) : Step(action: .read)
    }

    /// `hasBytes`: more replies have come already.
    mutating func didAnswer(own: Int, hasBytes: Bool) -> Step {
        precondition(reader == own && answered < written, "a reply that no command asked for")
        let ticket = answered
        answered += 1
        let wake = ticket == own ? nil : ticket
        if answered <= own || (hasBytes && answered < written) {
            return Step(action: .read, wake: wake)
        }
        reader = answered < written ? answered : nil
        return Step(action: .done, wake: wake, nextReader: reader)
    }

    enum Role { case writer, reader }

    /// One who reads or writes found the link broken and leaves.
    mutating func linkBroke(_ role: Role) {
        isBroken = true
        switch role {
        case .writer: isWriting = false
        case .reader: reader = nil
        }
    }

    /// The link is broken and nobody touches the memory of the exchanges any more: whoever brought this
    /// about calls `failAll`.
    var isAbandoned: Bool { isBroken && !isWriting && reader == nil }

    /// The exchanges that are left, all of which fail: those of `sent` may have happened, nobody knows
    /// which; those of `unsent` have not.
    mutating func failAll() -> (sent: Range<Int>, unsent: Range<Int>) {
        precondition(isAbandoned, "somebody is still at it")
        let failed = (answered..<written, written..<submitted)
        answered = submitted
        written = submitted
        isBroken = false
        return failed
    }
}
