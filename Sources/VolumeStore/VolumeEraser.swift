import FileSystem
import KeyValue
import Primitives

/// Removes every key of a volume without a list of keys: whatever a key of the volume names is removed
/// before that key itself, so an erasure that was cut off can be started again and leaves nothing.
struct VolumeEraser {
    let store: any KeyValueStore
    let name: VolumeName
    private let schema: Schema
    private static let entriesPerPage = 1_000

    init(store: any KeyValueStore, name: VolumeName) {
        self.store = store
        self.name = name
        schema = Schema(name)
    }

    /// Refuses while sessions use the volume.
    func erase() throws(VolumeError) {
        let sessions = try VolumeStore.sessions(store, name: name)
        let living = sessions.filter {
            $0.leaseMilliseconds >= 0
                && !MachineIdentity.isGone($0.processID, machine: $0.machine)
        }
        guard living.isEmpty else { throw .inUse(name, sessions: living.count) }
        try VolumeStore.translating { () throws(StoreError) in
            try eraseTree()
            for session in sessions { try eraseSession(session.id) }
            try eraseGarbage()
            try store.drop([
                schema.inode(.root), schema.directory(.root), schema.xattrs(.root),
                schema.sessions, schema.crashed, schema.garbage,
            ])
            // Last: as long as it is there, the volume can be erased again.
            try store.drop([schema.volume])
        }
    }

    /// Lists the directories from the root, then empties them, the ones found last first: so a name goes
    /// after what it names.
    private func eraseTree() throws(StoreError) {
        for directory in try directories().reversed() {
            while true {
                let (pairs, targets, _) = try page(of: directory, cursor: 0)
                guard !pairs.isEmpty else { break }
                for (pair, target) in zip(pairs, targets) {
                    guard let entry = entry(pair.value), entry.kind != .directory else { continue }
                    try eraseFile(entry.inode, target)
                }
                _ = try store.commit(
                    Batch(mutations: [
                        .deleteFields(key: schema.directory(directory), pairs.map(\.field))
                    ]))
            }
            if directory != .root {
                try store.drop([schema.inode(directory), schema.xattrs(directory)])
            }
        }
    }

    /// Breadth first; each directory once, also in a damaged tree.
    private func directories() throws(StoreError) -> [InodeID] {
        var found: [InodeID] = [.root]
        var known: Set<UInt64> = [InodeID.root.rawValue]
        var next = 0
        while next < found.count {
            var cursor: UInt64 = 0
            repeat {
                let answers = try store.read([
                    .page(
                        key: schema.directory(found[next]), cursor: cursor,
                        limit: Self.entriesPerPage)
                ])
                guard answers.count == 1, case .page(let following, let pairs) = answers[0] else {
                    throw .protocolViolation("unexpected answer about a directory")
                }
                for pair in pairs {
                    guard let entry = entry(pair.value), entry.kind == .directory,
                        known.insert(entry.inode.rawValue).inserted
                    else { continue }
                    found.append(entry.inode)
                }
                cursor = following
            } while cursor != 0
            next += 1
        }
        return found
    }

    private func page(
        of directory: InodeID, cursor: UInt64
    ) throws(StoreError) -> (pairs: [Pair], targets: [[Pair]], next: UInt64) {
        let answers = try store.read([
            .followPage(
                key: schema.directory(directory), cursor: cursor, limit: Self.entriesPerPage,
                prefix: schema.inodePrefix)
        ])
        guard answers.count == 1,
            case .followedPage(let next, let pairs, let targets?) = answers[0],
            pairs.count == targets.count
        else { throw .protocolViolation("unexpected answer about a directory") }
        return (pairs, targets, next)
    }

    private func entry(_ value: Bytes) -> EntryValue? {
        do throws(FormatError) {
            return try EntryValue(parsing: value)
        } catch {
            return nil
        }
    }

    private func eraseFile(_ inode: InodeID, _ pairs: [Pair]) throws(StoreError) {
        try eraseData(pairs)
        try store.drop([schema.inode(inode), schema.xattrs(inode)])
    }

    /// Takes the two fields that lead to the blocks, even out of a record that is damaged otherwise.
    private func eraseData(_ pairs: [Pair]) throws(StoreError) {
        func number(_ field: Bytes) -> UInt64? {
            pairs.first { $0.field == field }.flatMap { UInt64(decimal: $0.value) }
        }
        guard let data = number(Field.data) else { return }
        let alloc = number(Field.alloc) ?? 0
        let dense = min(number(Field.dense) ?? alloc, RecordLimits.blocks)
        try eraseBlocks(DataID(data), 0..<dense)
        if number(Field.dense) != nil { try eraseChunks(DataID(data)) }
    }

    private func eraseBlocks(_ data: DataID, _ range: Range<UInt64>) throws(StoreError) {
        var next = range.lowerBound
        while next < range.upperBound {
            let end = min(range.upperBound, next + UInt64(Reaping.keysPerTrip))
            try store.drop(schema.blocks(of: data, next..<end))
            next = end
        }
    }

    private func eraseChunks(_ data: DataID) throws(StoreError) {
        let answers = try store.read([.allFields(key: schema.chunks(data))])
        guard answers.count == 1, case .pairs(let pairs) = answers[0] else {
            throw .protocolViolation("unexpected answer about chunks")
        }
        for pair in pairs {
            guard let chunk = Chunk(field: pair.field) else { continue }
            try eraseBlocks(data, chunk.blocks)
        }
        try store.drop([schema.chunks(data)])
    }

    /// A session whose lease is over, with the inodes that it held open.
    private func eraseSession(_ session: SessionID) throws(StoreError) {
        let answers = try store.read([.allFields(key: schema.orphans(session))])
        guard answers.count == 1, case .pairs(let pairs) = answers[0] else {
            throw .protocolViolation("unexpected answer about orphans")
        }
        for pair in pairs {
            guard let inode = UInt64(decimal: pair.field) else { continue }
            try eraseNameless(InodeID(inode))
        }
        let locked = try store.read([.allFields(key: schema.lockedInodes(session))])
        guard locked.count == 1, case .pairs(let inodes) = locked[0] else {
            throw .protocolViolation("unexpected answer about locks")
        }
        try store.drop(
            inodes.compactMap { UInt64(decimal: $0.field) }.map { schema.locks(InodeID($0)) })
        try store.drop([
            schema.orphans(session), schema.lockedInodes(session), schema.waits(session),
            schema.session(session),
        ])
    }

    private func eraseNameless(_ inode: InodeID) throws(StoreError) {
        let answers = try store.read([.allFields(key: schema.inode(inode))])
        guard answers.count == 1, case .pairs(let fields) = answers[0] else {
            throw .protocolViolation("unexpected answer about an inode")
        }
        try eraseFile(inode, fields)
    }

    private func eraseGarbage() throws(StoreError) {
        while true {
            let answers = try store.read([
                .members(key: schema.garbage, upTo: .max, limit: Reaping.membersPerBatch)
            ])
            guard answers.count == 1, case .members(let members) = answers[0] else {
                throw .protocolViolation("unexpected answer about garbage")
            }
            guard !members.isEmpty else { return }
            for member in members { try eraseGarbage(member.name) }
            _ = try store.commit(
                Batch(
                    mutations: members.map {
                        .removeMember(key: schema.garbage, name: $0.name)
                    }))
        }
    }

    private func eraseGarbage(_ name: Bytes) throws(StoreError) {
        let item: GarbageItem
        do throws(FormatError) {
            item = try GarbageItem(parsing: name)
        } catch {
            return
        }
        switch item {
        case .blocks(let data, let range): try eraseBlocks(data, range)
        case .chunks(let data): try eraseChunks(data)
        case .inode(let inode): try eraseNameless(inode)
        // Its blocks go with the file.
        case .tail: break
        }
    }
}
