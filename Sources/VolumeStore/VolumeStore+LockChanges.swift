import FileSystem
import KeyValue
import Primitives
import Telemetry

// How a table of locks is changed: decided from what is believed, and replaced in the store if it still is
// that. Only one thread of this mount at a time does so for an inode (its lock stripe, which is held over
// the trip and ranks with the inode stripes: nothing else is taken while it is held but leaves).

extension VolumeStore {
    /// A change of an inode's locks that other mounts overtook is decided anew at most so often. Between
    /// two rounds somebody else's change happened, so this many mean a livelock.
    private static let lockRounds = 4_096

    /// What has to be done once no stripe is held.
    struct LockAnswers {
        /// These have their lock.
        var granted: [LockBook.Waiter] = []
        /// These have their lock, and nobody waits for it any more.
        var stray: [(inode: InodeID, lock: LockTable.Held)] = []
    }

    /// Decides and carries out one change of an inode's locks. `decide` may be called several times, each
    /// time with what is there now; with `mustRead` never with what is only believed. Returns what it
    /// refused with.
    @discardableResult
    func changeLocks(
        of inode: InodeID, mustRead: Bool = false, _ decide: (inout LockTable) -> LockDecision
    ) throws(StoreError) -> LockOutcome {
        var answers = LockAnswers()
        defer { deliver(answers) }
        return try lockStripes.withExclusive(inode) { () throws(StoreError) -> LockOutcome in
            var mustRead = mustRead
            for _ in 0..<Self.lockRounds {
                if let decision = changeAlone(inode, decide, &answers) {
                    return LockOutcome(refusal: decision.refusal)
                }
                try awaitSharedLocks()
                let (entry, isCertain) = try currentLocks(of: inode, mustRead: mustRead)
                var table = entry.table
                let decision = decide(&table)
                if case .refuse(let errno) = decision {
                    if isCertain { return LockOutcome(refusal: errno) }
                } else {
                    let granted = table.grant()
                    if let replaced = try replaceLocks(of: inode, entry, by: table) {
                        note(granted, of: inode, &answers)
                        return LockOutcome(refusal: decision.refusal, change: replaced.change)
                    }
                }
                // Others were faster, or what was believed may be out of date.
                mustRead = true
            }
            throw .unavailable("the locks of inode \(inode) change without end")
        }
    }

    /// Changes the table in memory; `nil` when others may be there, or the store has a part of it.
    private func changeAlone(
        _ inode: InodeID, _ decide: (inout LockTable) -> LockDecision, _ answers: inout LockAnswers
    ) -> LockDecision? {
        guard membership.beginLoneCall() != nil else { return nil }
        defer { membership.endLoneCall() }
        var entry = locks.withLock { $0.entry(inode) } ?? LockBook.Entry()
        guard entry.stored == .nothing, !entry.isDoubtful else { return nil }
        var table = entry.table
        let decision = decide(&table)
        if case .refuse = decision { return decision }
        let granted = table.grant()
        entry.table = table
        let session = sessionID
        locks.withLock { $0.settle(inode, entry, of: session) }
        note(granted, of: inode, &answers)
        return decision
    }

    /// The table to decide from, and whether it is more than a belief.
    private func currentLocks(
        of inode: InodeID, mustRead: Bool
    ) throws(StoreError) -> (LockBook.Entry, isCertain: Bool) {
        let entry = locks.withLock { $0.entry(inode) } ?? LockBook.Entry()
        // Written down by nobody yet, so nobody else can have changed it.
        if entry.stored == .nothing, !entry.table.isEmpty, !entry.isDoubtful {
            return (entry, true)
        }
        guard mustRead || entry.stored == .unknown || entry.isDoubtful else {
            return (entry, false)
        }
        return (try readLocks(of: inode, entry), true)
    }

    func readLocks(
        of inode: InodeID, _ known: LockBook.Entry
    ) throws(StoreError) -> LockBook.Entry {
        let answers = try store.read([.value(key: schema.locks(inode))])
        guard answers.count == 1, case .value(let value) = answers[0] else {
            throw .protocolViolation("unexpected answer about locks")
        }
        var entry = known
        entry.table = try parsedLocks(value, of: inode)
        entry.stored = value.map { .value($0) } ?? .nothing
        return entry
    }

    func parsedLocks(_ value: Bytes?, of inode: InodeID) throws(StoreError) -> LockTable {
        guard let value else { return LockTable() }
        do throws(FormatError) {
            return try LockTable(parsing: value)
        } catch {
            throw .protocolViolation("the locks of inode \(inode) cannot be right: \(error.what)")
        }
    }

    /// What a replacement has told.
    private struct Replacement {
        /// The last change of the volume before it; `nil` when there was nothing to replace.
        var change: UInt64?
    }

    /// Replaces what the store has. `nil` when it had something else than is believed.
    private func replaceLocks(
        of inode: InodeID, _ entry: LockBook.Entry, by table: LockTable
    ) throws(StoreError) -> Replacement? {
        let session = sessionID
        var after = entry
        after.table = table
        after.isDoubtful = false
        let isWritten = entry.stored != .nothing
        let isChange = isWritten ? table != entry.table : !table.isEmpty
        guard isChange || entry.isDoubtful else {
            locks.withLock { $0.settle(inode, after, of: session) }
            return Replacement(change: nil)
        }
        var batch = lockBatch(inode, entry, table, session)
        // Adds nothing, and tells how far the changes are that whoever takes a lock has to know of.
        batch.mutations.append(increment(Field.changes, by: 0))
        let change: UInt64?
        do throws(StoreError) {
            guard case .committed(let sums) = try commitRaw(batch.conditions, batch.mutations)
            else {
                locks.withLock { $0.doubt(inode) }
                return nil
            }
            change = sums.last.flatMap { UInt64(exactly: $0) }
        } catch {
            locks.withLock { $0.suspect(inode) }
            throw error
        }
        after.stored = table.isEmpty ? .nothing : .value(table.stored)
        after.isListed = table.concerns(session)
        locks.withLock { $0.settle(inode, after, of: session) }
        return Replacement(change: change)
    }

    /// Deletions come first, so that a full store does not refuse an unlock.
    func lockBatch(
        _ inode: InodeID, _ entry: LockBook.Entry, _ table: LockTable, _ session: SessionID
    ) -> (conditions: [Condition], mutations: [Mutation]) {
        let key = schema.locks(inode)
        let field = Bytes(decimal: inode.rawValue)
        var mutations: [Mutation] = []
        var conditions: [Condition] = []
        var before = entry.table
        switch entry.stored {
        case .nothing, .unknown:
            conditions = [.keyAbsent(key)]
            before = LockTable()
        case .value(let value):
            conditions = [.valueEquals(key: key, value: value)]
            mutations.append(.delete(key: key))
        }
        let isConcerned = table.concerns(session)
        if !isConcerned, entry.isListed || entry.isDoubtful {
            mutations.append(.deleteFields(key: schema.lockedInodes(session), [field]))
        }
        let waiting = Set(table.waiting)
        for gone in before.waiting where !waiting.contains(gone) {
            mutations.append(
                .deleteFields(
                    key: schema.waits(gone.lock.owner.session), [Bytes(decimal: gone.ticket)]))
        }
        if !table.isEmpty { mutations.append(.set(key: key, value: table.stored)) }
        if isConcerned, !entry.isListed || entry.isDoubtful {
            mutations.append(
                .setFields(key: schema.lockedInodes(session), [Pair(field, Field.one)]))
        }
        let waits = table.waiting.filter {
            $0.lock.owner.session == session && !before.waiting.contains($0)
        }
        if !waits.isEmpty {
            mutations.append(
                .setFields(
                    key: schema.waits(session),
                    waits.map {
                        Pair(
                            Bytes(decimal: $0.ticket),
                            StoredWait(inode: inode, owner: $0.lock.owner.number).stored)
                    }))
        }
        return (conditions, mutations + grantMessages(inode, before, table, session))
    }

    /// Tells other mounts that requests of theirs, which stood in line before, have their lock now.
    private func grantMessages(
        _ inode: InodeID, _ before: LockTable, _ after: LockTable, _ session: SessionID
    ) -> [Mutation] {
        let still = Set(after.waiting)
        let granted = before.waiting.filter {
            $0.lock.owner.session != session && !still.contains($0)
        }
        let changes = granted.map {
            RemoteChange.lockGranted(inode, $0.lock.owner.session, ticket: $0.ticket)
        }
        return stride(from: 0, to: changes.count, by: ChangeMessage.maximumChanges).map {
            publish(Array(changes[$0..<min($0 + ChangeMessage.maximumChanges, changes.count)]))
        }
    }

    /// Own requests among those that a change has given their lock.
    private func note(
        _ granted: [LockTable.Waiting], of inode: InodeID, _ answers: inout LockAnswers
    ) {
        let session = sessionID
        for request in granted where request.lock.owner.session == session {
            let waiter = locks.withLock { $0.removeWaiter(request.ticket) }
            if let waiter, waiter.onAnswer != nil {
                answers.granted.append(waiter)
            } else {
                answers.stray.append((inode, request.lock))
            }
        }
    }

    /// Called with no stripe held: programs are answered here.
    func deliver(_ answers: LockAnswers) {
        for waiter in answers.granted { waiter.onAnswer?(nil) }
        guard !answers.stray.isEmpty else { return }
        keeperTask {
            $0.strayLocks += answers.stray.map { StrayLock(inode: $0.inode, lock: $0.lock) }
        }
    }

    /// Nobody locks before a session that was alone has written its locks down.
    private func awaitSharedLocks() throws(StoreError) {
        do throws(Errno) {
            try awaitPermissionToWrite()
        } catch {
            throw .unavailable("another session neither answers nor ends")
        }
    }
}

/// What became of a change.
struct LockOutcome {
    /// What it was refused with.
    var refusal: Errno?
    /// The volume's last change before it; `nil` when the store was not asked.
    var change: UInt64?
}

/// A lock that was given to a request for which nobody waits any more: it has to be given up.
struct StrayLock {
    var inode: InodeID
    var lock: LockTable.Held
}
