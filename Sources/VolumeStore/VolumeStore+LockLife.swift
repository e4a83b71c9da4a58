import FileSystem
import KeyValue
import Logging
import Primitives

// What happens to locks as sessions come and go.
extension VolumeStore {
    /// Another mount gave a lock to a request of this one. Runs on the subscription's thread: no trip.
    func lockWasGranted(_ inode: InodeID, _ session: SessionID, _ ticket: UInt64) {
        guard session == sessionID else { return }
        guard let waiter = locks.withLock({ $0.noteGrant(inode, session, ticket) }) else { return }
        if let onAnswer = waiter.onAnswer { return onAnswer(nil) }
        deliver(LockAnswers(stray: [(inode, waiter.lock)]))
    }

    /// Messages were lost: asks whether those who wait have their lock by now.
    func recheckWaiters() throws(StoreError) {
        for inode in locks.withLock({ $0.awaited }) {
            var answers = LockAnswers()
            defer { deliver(answers) }
            try lockStripes.withExclusive(inode) { () throws(StoreError) in
                let known = locks.withLock { $0.entry(inode) } ?? LockBook.Entry()
                if known.stored == .nothing, !known.table.isEmpty { return }
                let entry = try readLocks(of: inode, known)
                let session = sessionID
                let still = Set(
                    entry.table.waiting.filter { $0.lock.owner.session == session }
                        .map(\.ticket))
                locks.withLock { book in
                    for (ticket, waiter) in book.waiters
                    where waiter.inode == inode && !still.contains(ticket) {
                        _ = book.removeWaiter(ticket)
                        if waiter.onAnswer == nil {
                            answers.stray.append((inode, waiter.lock))
                        } else {
                            answers.granted.append(waiter)
                        }
                    }
                    book.settle(inode, entry, of: session)
                }
            }
        }
    }

    /// Takes requests out of the line whose programs were interrupted while the store was away.
    func withdrawAbandoned() throws(StoreError) {
        for ticket in locks.withLock({ $0.abandoned }) {
            guard let waiter = locks.withLock({ $0.waiters[ticket] }) else { continue }
            let wasWaiting = try withdraw(ticket, of: waiter.inode)
            _ = locks.withLock { $0.removeWaiter(ticket) }
            if !wasWaiting { try giveUp(StrayLock(inode: waiter.inode, lock: waiter.lock)) }
        }
    }

    func giveUp(_ stray: StrayLock) throws(StoreError) {
        try changeLocks(of: stray.inode) { table in
            table.remove(stray.lock.owner, stray.lock.range)
            return .keep
        }
    }

    /// This mount ceases to be alone: what only it knows of locks goes into the store, before anybody
    /// else may lock anything.
    func writeDownLocks() throws(StoreError) {
        for inode in locks.withLock({ $0.unwritten }) {
            try lockStripes.withExclusive(inode) { () throws(StoreError) in
                guard var entry = locks.withLock({ $0.entry(inode) }), entry.stored == .nothing
                else { return }
                let session = sessionID
                let batch = lockBatch(inode, entry, entry.table, session)
                guard case .committed = try commitRaw(batch.conditions, batch.mutations) else {
                    logger.error(
                        "somebody locked a file without waiting for this mount",
                        metadata: ["inode": "\(inode)"])
                    return locks.withLock { $0.suspect(inode) }
                }
                entry.stored = .value(entry.table.stored)
                entry.isListed = true
                locks.withLock { $0.settle(inode, entry, of: session) }
            }
        }
    }

    /// Gives up the locks of a session that has ended, and gives them to those who wait.
    func releaseLocks(of session: SessionID) throws(StoreError) {
        let key = schema.lockedInodes(session)
        var cursor: UInt64 = 0
        repeat {
            let read = Read.page(key: key, cursor: cursor, limit: Reaping.membersPerBatch)
            guard let answer = try store.readEach([read])[0] else {
                // 'apusfs check' finds the locks that it told of.
                _ = malformed(key, "is no hash")
                return
            }
            guard case .page(let next, let pairs) = answer else {
                throw .protocolViolation("unexpected answer about locks")
            }
            for pair in pairs {
                guard let number = UInt64(decimal: pair.field) else {
                    _ = malformed(key, "an inode that is no number")
                    continue
                }
                try releaseLocks(of: session, on: InodeID(number), mustRead: true)
            }
            cursor = next
        } while cursor != 0
    }

    private func releaseLocks(
        of session: SessionID, on inode: InodeID, mustRead: Bool
    ) throws(StoreError) {
        do throws(StoreError) {
            try changeLocks(of: inode, mustRead: mustRead) { table in
                table.remove(session)
                return .keep
            }
        } catch {
            switch error {
            // Damaged: nobody can lock that file, and the rest must not wait for it.
            case .protocolViolation, .wrongKind: _ = errno(for: error)
            default: throw error
            }
        }
    }

    /// At the end of this session.
    func releaseOwnLocks() throws(StoreError) {
        let session = sessionID
        for inode in locks.withLock({ $0.inodes(of: session) }) {
            try releaseLocks(of: session, on: inode, mustRead: false)
        }
        failWaiters(with: .interrupted)
    }

    /// The session is gone: so are its locks, and whoever waits learns it.
    /// Returns the inodes of which it may have held some.
    @discardableResult
    func failWaiters(with errno: Errno) -> [InodeID] {
        let session = sessionID
        let (waiters, locked) = locks.withLock { $0.forgetAll(of: session) }
        for waiter in waiters { waiter.onAnswer?(errno) }
        return locked
    }
}
