import FileSystem
import KeyValue
import Primitives

extension VolumeCheck {
    /// Where inodes without a name get one.
    static let refuge = Bytes("lost+found".utf8)
    private static let refugePermissions: UInt32 = 0o700

    /// Whether the mending happened: what it relies on was still so.
    func mend(_ verdict: Verdict) throws(StoreError) -> Bool {
        switch verdict.mending {
        case nil: return false
        case .attach(let record): return try attach(record, [])
        case .batch(let conditions, let mutations, let changes):
            return try commit(conditions, mutations, changes)
        }
    }

    /// One batch, published on behalf of session 0, which is none.
    func commit(
        _ conditions: [Condition], _ mutations: [Mutation], _ changes: [RemoteChange]
    ) throws(StoreError) -> Bool {
        // Blocks that were dropped need nothing more, and a batch without a key is one that the server may
        // refuse: key by key it judges what a user may touch.
        if conditions.isEmpty, mutations.isEmpty, changes.isEmpty { return true }
        let message = ChangeMessage(session: SessionID(0), changes: changes).stored
        let publication =
            changes.isEmpty
            ? []
            : [
                Mutation.publish(
                    channel: schema.channel, key: schema.volume, field: Field.changes,
                    message: message)
            ]
        let outcome = try reader.store.commit(
            Batch(conditions: conditions, mutations: mutations + publication))
        guard case .committed = outcome else { return false }
        return true
    }

    /// Gives an inode without a name one in lost+found. `conditions` are those of the finding.
    func attach(
        _ record: InodeRecord, _ conditions: [Condition], after mutations: [Mutation] = []
    ) throws(StoreError) -> Bool {
        guard let refuge = try refugeDirectory(), record.id != refuge else { return false }
        let key = schema.inode(record.id)
        let directory = schema.directory(refuge)
        let name = Bytes("#\(record.id)".utf8)
        var all = mutations
        all.append(.setFields(key: directory, [Pair(name, EntryValue(record).stored)]))
        if record.kind == .directory {
            all.append(
                .setFields(key: key, [Pair(Field.parent, Bytes(decimal: refuge.rawValue))]))
            all.append(.increment(key: schema.inode(refuge), field: Field.links, by: 1))
        } else {
            all.append(.setFields(key: key, [Pair(Field.links, Field.one)]))
        }
        return try commit(
            [
                .fieldAbsent(key: directory, field: name),
                .keyExists(schema.inode(refuge)),
                .fieldEquals(
                    key: key, field: Field.links, value: Bytes(decimal: UInt64(record.linkCount))),
            ] + conditions, all,
            [
                .entry(parent: refuge, name: name), .attributes(refuge), .attributes(record.id),
            ])
    }

    /// lost+found in the root, made when absent; `nil` when something else has that name.
    private func refugeDirectory() throws(StoreError) -> InodeID? {
        let root = schema.directory(.root)
        guard
            case .values(let values) = try reader.store.read([.fields(key: root, [Self.refuge])])[0]
        else { throw .protocolViolation("unexpected answer about the root") }
        if let value = values.first.flatMap({ $0 }) {
            do throws(FormatError) {
                let entry = try EntryValue(parsing: value)
                return entry.kind == .directory ? entry.inode : nil
            } catch {
                return nil
            }
        }
        let taken = try reader.store.commit(
            Batch(mutations: [.increment(key: schema.volume, field: Field.nextID, by: 1)]))
        guard case .committed(let sums) = taken, let number = sums.first, number > 1 else {
            return nil
        }
        let record = InodeRecord(
            id: InodeID(UInt64(number)), kind: .directory, permissions: Self.refugePermissions,
            linkCount: 2, accessTime: .now, modificationTime: .now, changeTime: .now, parent: .root)
        let isMade = try commit(
            [.fieldAbsent(key: root, field: Self.refuge), .keyAbsent(schema.inode(record.id))],
            [
                .setFields(key: root, [Pair(Self.refuge, EntryValue(record).stored)]),
                .setFields(key: schema.inode(record.id), record.storedFields),
                .increment(key: schema.inode(.root), field: Field.links, by: 1),
                .increment(key: schema.volume, field: Field.inodes, by: 1),
            ], [.entry(parent: .root, name: Self.refuge), .attributes(.root)])
        return isMade ? record.id : nil
    }
}
