import KeyValue
import Logging
import Primitives
import Telemetry

// Sessions, the garbage list, and the counters of the volume.

extension VolumeCheck {
    /// Reads what sessions hold and what is garbage: one look, in a few trips.
    func readReferences() throws(StoreError) -> CheckReferences {
        var found = CheckReferences()
        for member in try reader.members(schema.sessions) ?? [] {
            if let session = UInt64(decimal: member.name) { found.sessions.insert(session) }
        }
        _ = try reader.walk(schema.crashed) { pairs throws(StoreError) in
            found.crashed.formUnion(pairs.compactMap { UInt64(decimal: $0.field) })
        }
        let lists = schema.volume + [UInt8(ascii: "o")]
        try reader.scan(lists) { keys throws(StoreError) in
            for key in keys {
                _ = try reader.walk(key) { pairs throws(StoreError) in
                    found.inodes.formUnion(pairs.compactMap { UInt64(decimal: $0.field) })
                }
            }
        }
        let garbage = try reader.members(schema.garbage) ?? []
        found.isPartial = garbage.count >= CheckReader.maximumMembers
        for member in garbage {
            switch Self.garbage(member.name) {
            case .blocks(let data, _), .chunks(let data): found.data.insert(data.rawValue)
            case .inode(let inode): found.inodes.insert(inode.rawValue)
            // The file has its blocks, and names itself.
            case .tail, nil: break
            }
        }
        return found
    }

    private static func garbage(_ name: Bytes) -> GarbageItem? {
        do throws(FormatError) {
            return try GarbageItem(parsing: name)
        } catch {
            return nil
        }
    }

    // MARK: Sessions

    func checkSessions() throws(StoreError) {
        for key in [schema.sessions, schema.garbage]
        where try reader.members(key) == nil {
            try find(.wrongKindOfKey, key, "is no ordered set", mending: [.delete(key: key)])
        }
        if try !reader.walk(schema.crashed, { _ in }) {
            try find(
                .wrongKindOfKey, schema.crashed, "is no hash",
                mending: [.delete(key: schema.crashed)])
        }
        for member in try reader.members(schema.sessions) ?? []
        where UInt64(decimal: member.name) == nil {
            try find(
                .malformedMember, schema.sessions,
                "'\(String(decoding: member.name, as: UTF8.self))' is no session",
                mending: [.removeMember(key: schema.sessions, name: member.name)])
        }
        let sessions = try VolumeStore.sessions(reader.store, schema)
        try endSessions(sessions.filter(isOver))
        let registered = Set(sessions.map(\.id.rawValue))
        try checkSessionKeys(registered)
    }

    private func isOver(_ session: SessionReport) -> Bool {
        session.leaseMilliseconds < 0
            || MachineIdentity.isGone(session.processID, machine: session.machine)
    }

    /// Cleans up as a mount does it (FORMAT.md, "Sessions"), by being one for a moment: that releases what
    /// the session held open and its locks.
    private func endSessions(_ sessions: [SessionReport]) throws(StoreError) {
        if options.repairs, !sessions.isEmpty {
            do throws(VolumeError) {
                let mount = try VolumeStore(
                    store: reader.store, settings: settings,
                    session: SessionDescription(
                        host: "", processID: 0, mountPoint: "(check)", version: "", machine: ""),
                    isReadOnly: false, metrics: Metrics(), logger: logger)
                defer { mount.close() }
                _ = try mount.collectGarbage()
            } catch {
                guard case .store(let failure) = error else {
                    throw .protocolViolation("\(error)")
                }
                throw failure
            }
        }
        for session in sessions {
            let isThere = try isRegistered(session.id)
            note(
                .expiredSession, schema.session(session.id),
                "\(session.host):\(session.mountPoint), process \(session.processID), is gone",
                options.repairs ? (isThere ? .left : .mended) : .found)
        }
    }

    /// Puts the inodes of a session's list on the garbage list, which looks whether others hold them.
    private func discardHeld(_ key: Bytes) throws(StoreError) {
        _ = try reader.walk(key) { pairs throws(StoreError) in
            let members = pairs.compactMap { pair in
                UInt64(decimal: pair.field).map { number in
                    Mutation.addMemberDue(
                        key: schema.garbage, name: GarbageItem.inode(InodeID(number)).stored,
                        inMilliseconds: 0)
                }
            }
            if !members.isEmpty { _ = try commit([], members, []) }
        }
    }

    private func checkSessionKeys(_ registered: Set<UInt64>) throws(StoreError) {
        var lists: [Bytes] = []
        try reader.scan(schema.volume) { keys throws(StoreError) in
            let own = keys.filter {
                if case .session = VolumeKey($0, schema) { true } else { false }
            }
            // The mount that it belongs to is fenced by this, and goes on as a new session.
            for (key, isHash) in zip(own, try reader.areHashes(own)) where !isHash {
                try find(.wrongKindOfKey, key, "is no hash", mending: [.delete(key: key)])
            }
            for key in keys {
                switch VolumeKey(key, schema) {
                case .session(let id) where !registered.contains(id.rawValue):
                    // One that registers just now has its member in the same batch.
                    guard try !isRegistered(id) else { break }
                    try find(
                        .leftSession, key, "is on no list of sessions", [.keyExists(key)],
                        mending: [.delete(key: key)])
                case .orphans(let id) where !registered.contains(id.rawValue):
                    if try !isRegistered(id) { lists.append(key) }
                case .locks(let inode): try checkLocks(key, of: inode, registered)
                case .sessionLocks(let id): try checkSessionLocks(key, of: id, registered)
                case .volume, .inode, .directory, .xattrs, .chunks, .session, .orphans,
                    .sessions, .crashed, .garbage, .unknown:
                    break
                }
            }
        }
        for key in lists {
            if options.repairs { try discardHeld(key) }
            try find(
                .leftOrphanList, key, "belongs to no session", [.keyExists(key)],
                mending: [.delete(key: key)])
        }
    }

    func isRegistered(_ id: SessionID) throws(StoreError) -> Bool {
        let name = Bytes(decimal: id.rawValue)
        return try (reader.members(schema.sessions) ?? []).contains { $0.name == name }
    }

    // MARK: Garbage

    func checkGarbage() throws(StoreError) {
        for member in try reader.members(schema.garbage) ?? []
        where Self.garbage(member.name) == nil {
            try find(
                .malformedGarbage, schema.garbage,
                "'\(String(decoding: member.name, as: UTF8.self))' is no garbage",
                mending: [.removeMember(key: schema.garbage, name: member.name)])
        }
    }

    // MARK: Counters

    /// How far `ni` is raised above what is in use: mounts may hold ranges that they have not used yet.
    private static let numbersAhead: UInt64 = 1 << 20

    /// Counters move with every change: they are judged when nothing changed during the walk.
    func checkCounters(unchangedSince changes: Int64?) throws(StoreError) {
        let counters = [
            Field.nextID, Field.nextSession, Field.inodes, Field.blocks, Field.changes,
            Field.sessionEpoch,
        ]
        guard
            case .values(let values) = try reader.store.read([
                .fields(key: schema.volume, counters)
            ])[0], values.count == counters.count
        else { throw .protocolViolation("unexpected answer about the volume") }
        for (field, value) in zip(counters, values) {
            guard let value, Int64(decimal: value) == nil else { continue }
            let name = String(decoding: field, as: UTF8.self)
            try find(
                .wrongCounter, schema.volume, "\(name) is no number",
                [.fieldEquals(key: schema.volume, field: field, value: value)],
                mending: [.setFields(key: schema.volume, [Pair(field, [UInt8(ascii: "0")])])])
        }
        let numbers = values.map { $0.flatMap { Int64(decimal: $0) } }
        try raise(Field.nextID, greatestNumber, by: Self.numbersAhead)
        try raise(Field.nextSession, greatestSession, by: 0)
        guard let now = numbers[4] ?? changes, (changes ?? 0) == now, mendedInRound == 0 else {
            return
        }
        try setCounter(.wrongInodeCounter, Field.inodes, numbers[2], report.inodes, now)
        try setCounter(.wrongBlockCounter, Field.blocks, numbers[3], report.blocks, now)
    }

    private func raise(
        _ field: Bytes, _ greatest: UInt64, by ahead: UInt64
    ) throws(StoreError) {
        // A number is taken before it is used: one that is greater than the counter now was never taken.
        let current = try reader.counter(field) ?? 0
        guard UInt64(max(0, current)) < greatest else { return }
        let name = String(decoding: field, as: UTF8.self)
        try find(
            .lowIdentifier, schema.volume, "\(name) is \(current), \(greatest) is in use",
            mending: [
                .raise(
                    key: schema.volume, field: field, to: Int64(clamping: greatest + ahead))
            ])
    }

    private func setCounter(
        _ kind: CheckKind, _ field: Bytes, _ value: Int64?, _ counted: UInt64, _ changes: Int64
    ) throws(StoreError) {
        guard max(0, value ?? 0) != Int64(counted) else { return }
        let name = String(decoding: field, as: UTF8.self)
        var conditions: [Condition] = []
        if changes > 0 {
            conditions = [
                .fieldEquals(
                    key: schema.volume, field: Field.changes, value: Bytes(decimal: changes))
            ]
        }
        try find(
            kind, schema.volume, "\(name) is \(value ?? 0), \(counted) were counted", conditions,
            mending: [
                .setFields(key: schema.volume, [Pair(field, Bytes(decimal: counted))])
            ])
    }
}
