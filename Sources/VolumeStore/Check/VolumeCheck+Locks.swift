import KeyValue
import Primitives

// Advisory locks: what they say, and who holds them.

extension VolumeCheck {
    /// The locks of one inode. Those of sessions that are gone go, and whoever waited for them has its lock.
    func checkLocks(
        _ key: Bytes, of inode: InodeID, _ registered: Set<UInt64>
    ) throws(StoreError) {
        guard try reader.existing([schema.inode(inode)]) == [true] else {
            return try find(
                .leftLocks, key, "belongs to no inode", [.keyAbsent(schema.inode(inode))],
                mending: [.delete(key: key)])
        }
        guard let answer = try reader.store.readEach([.value(key: key)])[0] else {
            return try find(
                .wrongKindOfKey, key, "is no string", [.keyExists(key)],
                mending: [.delete(key: key)])
        }
        guard case .value(let stored) = answer else {
            throw .protocolViolation("unexpected answer about locks")
        }
        guard let stored else { return }
        let isSame = Condition.valueEquals(key: key, value: stored)
        var table: LockTable
        do throws(FormatError) {
            table = try LockTable(parsing: stored)
        } catch {
            return try find(
                .unreadableLocks, key, error.what, [isSame], mending: [.delete(key: key)])
        }
        var gone = Set((table.held + table.waiting.map(\.lock)).map(\.owner.session))
        gone = gone.filter { !registered.contains($0.rawValue) }
        for session in gone where try isRegistered(session) { gone.remove(session) }
        guard let first = gone.min(by: { $0.rawValue < $1.rawValue }) else { return }
        for session in gone { table.remove(session) }
        let granted = table.grant()
        var mending: [Mutation] = [.delete(key: key)]
        if !table.isEmpty { mending.append(.set(key: key, value: table.stored)) }
        mending += granted.map {
            .deleteFields(
                key: schema.waits($0.lock.owner.session), [Bytes(decimal: $0.ticket)])
        }
        try find(
            .leftLocks, key, "has locks of session \(first), which is gone", [isSame],
            mending: mending,
            publishing: granted.map {
                .lockGranted(inode, $0.lock.owner.session, ticket: $0.ticket)
            })
    }

    /// The list of inodes that a session has locked, or of locks that it waits for.
    func checkSessionLocks(
        _ key: Bytes, of session: SessionID, _ registered: Set<UInt64>
    ) throws(StoreError) {
        var isKnown = registered.contains(session.rawValue)
        if !isKnown { isKnown = try isRegistered(session) }
        if !isKnown {
            try find(
                .leftLocks, key, "belongs to no session", [.keyExists(key)],
                mending: [.delete(key: key)])
        } else if try reader.areHashes([key]) == [false] {
            try find(
                .wrongKindOfKey, key, "is no hash", [.keyExists(key)],
                mending: [.delete(key: key)])
        }
    }
}
