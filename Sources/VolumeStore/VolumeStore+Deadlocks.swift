import FileSystem
import KeyValue
import Primitives

extension VolumeStore {
    /// Longer chains of owners that wait for each other are not followed.
    private static let longestChain = 32

    /// Whether the owner of `lock`, which stands in line, is waited for by those it waits for.
    ///
    /// Asked after the request was put in line: of several requests that close a circle together, the
    /// one that came last sees all the others. A level of the search costs two trips at most.
    func isDeadlocked(_ inode: InodeID, _ lock: LockTable.Held) throws(Errno) -> Bool {
        try translated { () throws(StoreError) in
            var front = try lockTables([inode])[inode]?.blockers(of: lock) ?? []
            var seen: Set<LockOwner> = []
            for _ in 0..<Self.longestChain {
                if front.contains(lock.owner) { return true }
                front.subtract(seen)
                guard !front.isEmpty else { return false }
                seen.formUnion(front)
                let places = try waits(of: front)
                let tables = try lockTables(Set(places.values.joined()))
                var next: Set<LockOwner> = []
                for (owner, inodes) in places {
                    for table in inodes.compactMap({ tables[$0] }) {
                        for request in table.waiting where request.lock.owner == owner {
                            next.formUnion(table.blockers(of: request.lock))
                        }
                    }
                }
                front = next
            }
            return false
        }
    }

    /// Where owners wait. What this mount knows of itself is right; of others the store is asked.
    private func waits(
        of owners: Set<LockOwner>
    ) throws(StoreError) -> [LockOwner: Set<InodeID>] {
        let own = sessionID
        var result: [LockOwner: Set<InodeID>] = [:]
        for waiter in locks.withLock({ $0.waiters }).values where owners.contains(waiter.lock.owner)
        {
            result[waiter.lock.owner, default: []].insert(waiter.inode)
        }
        let others = Array(Set(owners.map(\.session)).subtracting([own]))
        guard !others.isEmpty else { return result }
        let answers = try store.read(others.map { .allFields(key: schema.waits($0)) })
        for (session, answer) in zip(others, answers) {
            guard case .pairs(let pairs) = answer else {
                throw .protocolViolation("unexpected answer about waits")
            }
            for pair in pairs {
                let wait: StoredWait
                do throws(FormatError) {
                    wait = try StoredWait(parsing: pair.value)
                } catch {
                    throw .protocolViolation(error.what)
                }
                let owner = LockOwner(session: session, family: .record, number: wait.owner)
                if owners.contains(owner) { result[owner, default: []].insert(wait.inode) }
            }
        }
        return result
    }

    private func lockTables(
        _ inodes: Set<InodeID>
    ) throws(StoreError) -> [InodeID: LockTable] {
        var result: [InodeID: LockTable] = [:]
        var toRead: [InodeID] = []
        let isAlone = isAlone
        for inode in inodes {
            let entry = locks.withLock { $0.entry(inode) }
            if let entry, entry.stored == .nothing || isAlone {
                result[inode] = entry.table
            } else {
                toRead.append(inode)
            }
        }
        guard !toRead.isEmpty else { return result }
        let answers = try store.read(toRead.map { .value(key: schema.locks($0)) })
        for (inode, answer) in zip(toRead, answers) {
            guard case .value(let value) = answer else {
                throw .protocolViolation("unexpected answer about locks")
            }
            result[inode] = try parsedLocks(value, of: inode)
        }
        return result
    }
}
