import FileSystem
import KeyValue
import Primitives

/// What this mount knows of the advisory locks of its volume. A value behind a lock.
///
/// Of an inode in which this session holds or wants a lock there is always an entry, and what the entry
/// says of this session's own held locks is right: nobody else gives or takes those, except for grants,
/// which are noted when they are heard of.
struct LockBook {
    /// What the store has under the inode's key.
    enum Stored: Equatable {
        /// Nothing: the locks are those of this mount, which is alone and has not written them down.
        case nothing
        case value(Bytes)
        /// It has to be read.
        case unknown
    }

    struct Entry {
        var table = LockTable()
        var stored = Stored.nothing
        /// The answer to a change was lost: this session may hold more than the table says.
        var isDoubtful = false
        /// `{V}h<session>` names the inode.
        var isListed = false
    }

    /// A request of a program of this mount that waits.
    struct Waiter {
        var inode: InodeID
        var lock: LockTable.Held
        /// `nil`: the program was told that it was interrupted, but the store could not be.
        var onAnswer: (@Sendable (Errno?) -> Void)?
    }

    private var entries: [InodeID: Entry] = [:]
    private(set) var waiters: [UInt64: Waiter] = [:]
    private var lastTicket: UInt64 = 0

    var isEmpty: Bool { entries.isEmpty }

    func entry(_ inode: InodeID) -> Entry? { entries[inode] }

    /// The inode's locks have to be read before the next decision.
    mutating func doubt(_ inode: InodeID) { entries[inode]?.stored = .unknown }

    /// The answer to a change is lost.
    mutating func suspect(_ inode: InodeID) {
        entries[inode, default: Entry()].stored = .unknown
        entries[inode, default: Entry()].isDoubtful = true
    }

    mutating func addWaiter(_ waiter: Waiter) -> UInt64 {
        lastTicket += 1
        waiters[lastTicket] = waiter
        return lastTicket
    }

    mutating func removeWaiter(_ ticket: UInt64) -> Waiter? { waiters.removeValue(forKey: ticket) }

    /// The program goes its way; the ticket stays until the store has heard of it.
    mutating func abandon(_ ticket: UInt64) -> (@Sendable (Errno?) -> Void)? {
        defer { waiters[ticket]?.onAnswer = nil }
        return waiters[ticket]?.onAnswer
    }

    /// Takes over what a change or a read has made of an inode. A request of this session that stands in
    /// line there and for which nobody waits here was given its lock meanwhile: that was heard of.
    mutating func settle(_ inode: InodeID, _ entry: Entry, of session: SessionID) {
        var entry = entry
        for request in entry.table.waiting
        where request.lock.owner.session == session && waiters[request.ticket] == nil {
            _ = entry.table.noteGrant(session, request.ticket)
            entry.stored = .unknown
        }
        // What others hold is of no use later: it may have changed by then.
        entries[inode] = entry.table.concerns(session) ? entry : nil
    }

    /// Another mount gave a lock to a request of this one. `nil` when nobody here waits for it.
    mutating func noteGrant(
        _ inode: InodeID, _ session: SessionID, _ ticket: UInt64
    ) -> Waiter? {
        _ = entries[inode]?.table.noteGrant(session, ticket)
        doubt(inode)
        return removeWaiter(ticket)
    }

    /// Whether `owner` may hold anything of the inode.
    func mayHold(_ inode: InodeID, _ owner: LockOwner) -> Bool {
        guard let entry = entries[inode] else { return false }
        return entry.isDoubtful || entry.table.held.contains { $0.owner == owner }
    }

    /// Inodes whose locks only this mount knows.
    var unwritten: [InodeID] {
        entries.filter { $0.value.stored == .nothing && !$0.value.table.isEmpty }.map(\.key)
    }

    /// Inodes of which this session holds or wants locks.
    func inodes(of session: SessionID) -> [InodeID] {
        entries.filter { $0.value.isDoubtful || $0.value.table.concerns(session) }.map(\.key)
    }

    /// Inodes for which somebody of this mount waits.
    var awaited: Set<InodeID> { Set(waiters.values.map(\.inode)) }

    /// Requests of this mount that have to be taken out of the line.
    var abandoned: [UInt64] { waiters.filter { $0.value.onAnswer == nil }.map(\.key) }

    func heldCount(of session: SessionID) -> Int {
        entries.values.reduce(0) { sum, entry in
            sum + entry.table.held.count { $0.owner.session == session }
        }
    }

    /// The session is gone, and its locks with it. Returns those who waited, and the inodes of which it may
    /// have held some.
    mutating func forgetAll(of session: SessionID) -> (waiters: [Waiter], locked: [InodeID]) {
        let locked = entries.filter { entry in
            entry.value.isDoubtful
                || entry.value.table.held.contains { $0.owner.session == session }
        }
        defer {
            entries = [:]
            waiters = [:]
        }
        return (Array(waiters.values), locked.map(\.key))
    }
}
