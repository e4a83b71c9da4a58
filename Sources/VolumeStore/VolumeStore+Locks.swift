public import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

// Advisory locks. While this mount is alone they are in its memory only; otherwise each change of an
// inode's locks is one batch that replaces `{V}l<ino>` if it still is what it was decided from. Whoever
// gives up a lock gives it to those who wait, in order of arrival, and says so in the batch's message:
// nobody polls.

/// What a request for a lock has come to.
public struct LockResult: Sendable, Equatable {
    public var start: LockStart
    /// Of a lock that was taken in the store: the volume's last change by then. What was changed before
    /// has to be seen by whoever holds the lock.
    public var change: UInt64?
}

extension VolumeStore {
    /// How many locks this mount's programs hold.
    public var heldLockCount: Int {
        let session = sessionID
        return locks.withLock { $0.heldCount(of: session) }
    }

    /// Takes a lock or says EAGAIN; if it `waits`, the request is put in line instead. One trip when
    /// nobody is in the way; none while this mount is alone.
    public func setLock(
        of inode: InodeID, _ wanted: FileLock, waits: Bool,
        onAnswer: @escaping @Sendable (Errno?) -> Void
    ) throws(Errno) -> LockResult {
        let lock = held(wanted)
        var request = LockRequest(lock: lock, waits: waits)
        let outcome: LockOutcome
        do throws(StoreError) {
            outcome = try changeLocks(of: inode) { table in
                request.decide(&table) {
                    locks.withLock {
                        $0.addWaiter(.init(inode: inode, lock: lock, onAnswer: onAnswer))
                    }
                }
            }
        } catch {
            forgetWaiter(request.ticket)
            let errno = errno(for: error)
            throw errno == .noSpace ? .noLocks : errno
        }
        if let refusal = outcome.refusal {
            forgetWaiter(request.ticket)
            throw refusal
        }
        guard !request.isTaken, let ticket = request.ticket else {
            forgetWaiter(request.ticket)
            return LockResult(start: .taken, change: outcome.change)
        }
        guard lock.owner.family == .record else {
            return LockResult(start: .later(LockTicket(ticket)))
        }
        do throws(Errno) {
            let isDeadlocked = try isDeadlocked(inode, lock)
            return LockResult(
                start: isDeadlocked ? try leaveDeadlock(ticket) : .later(LockTicket(ticket)))
        } catch {
            // Whoever is told of a failure does not wait any more.
            _ = locks.withLock { $0.abandon(ticket) }
            throw error
        }
    }

    private func forgetWaiter(_ ticket: UInt64?) {
        guard let ticket else { return }
        _ = locks.withLock { $0.removeWaiter(ticket) }
    }

    /// EDEADLK, unless the lock came first.
    private func leaveDeadlock(_ ticket: UInt64) throws(Errno) -> LockStart {
        guard let waiter = locks.withLock({ $0.waiters[ticket] }) else {
            return .later(LockTicket(ticket))
        }
        let wasWaiting = try translated { () throws(StoreError) in
            try withdraw(ticket, of: waiter.inode)
        }
        guard locks.withLock({ $0.removeWaiter(ticket) }) != nil else {
            return .later(LockTicket(ticket))
        }
        if wasWaiting { throw .deadlock }
        return .taken
    }

    /// Takes a request out of the line; its `onAnswer` is called with EINTR, or with `nil` when the lock
    /// came first. A store that does not answer keeps nobody: the request is withdrawn later.
    public func cancelLock(_ ticket: LockTicket) {
        guard let waiter = locks.withLock({ $0.waiters[ticket.rawValue] }) else { return }
        do throws(StoreError) {
            let wasWaiting = try withdraw(ticket.rawValue, of: waiter.inode)
            let answered = locks.withLock { $0.removeWaiter(ticket.rawValue) }
            answered?.onAnswer?(wasWaiting ? .interrupted : nil)
        } catch {
            _ = errno(for: error)
            let onAnswer = locks.withLock { $0.abandon(ticket.rawValue) }
            onAnswer?(.interrupted)
        }
    }

    /// Returns whether it still waited.
    func withdraw(_ ticket: UInt64, of inode: InodeID) throws(StoreError) -> Bool {
        let session = sessionID
        var wasWaiting = false
        _ = try changeLocks(of: inode, mustRead: true) { table in
            wasWaiting = table.cancel(session, ticket)
            return .keep
        }
        return wasWaiting
    }

    /// Gives up what an owner holds in a range. No trip when it holds nothing.
    public func unlock(
        _ inode: InodeID, family: LockFamily, owner: UInt64, range: ClosedRange<UInt64>
    ) throws(Errno) {
        let owner = LockOwner(session: sessionID, family: family, number: owner)
        guard locks.withLock({ $0.mayHold(inode, owner) }) else { return }
        _ = try translated { () throws(StoreError) in
            try changeLocks(of: inode) { table in
                table.remove(owner, range)
                return .keep
            }
        }
    }

    /// A lock that is in the way of `wanted`. One trip; none while this mount is alone.
    public func lockHolder(
        of inode: InodeID, against wanted: FileLock
    ) throws(Errno) -> FileLock? {
        let lock = held(wanted)
        var found: LockTable.Held?
        _ = try translated { () throws(StoreError) in
            try changeLocks(of: inode, mustRead: true) { table in
                found = table.holder(against: lock)
                return .keep
            }
        }
        guard let found else { return nil }
        return FileLock(
            family: found.owner.family, owner: found.owner.number, mode: found.mode,
            range: found.range, processID: try visibleProcess(of: found))
    }

    /// The holder's process, if this machine counts processes as the holder's does; else 0.
    private func visibleProcess(of found: LockTable.Held) throws(Errno) -> Int32 {
        if found.owner.session == sessionID { return found.processID }
        let answers = try read([
            .fields(key: schema.session(found.owner.session), [Field.machine])
        ])
        let own = Bytes(membership.description.machine.utf8)
        return answers[0] == .values([own]) ? found.processID : 0
    }

    private func held(_ lock: FileLock) -> LockTable.Held {
        LockTable.Held(
            owner: LockOwner(session: sessionID, family: lock.family, number: lock.owner),
            mode: lock.mode, range: lock.range, processID: lock.processID)
    }
}
