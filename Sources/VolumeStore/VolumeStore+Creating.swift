import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// Gives a new inode its first name. One trip, except that one in 1,024 takes a range of numbers.
    ///
    /// EEXIST, and ENOENT when the directory is gone. Of a directory: also the link to its parent. The
    /// parent's times become `new.time`, unless they are later already.
    public func create(
        in parent: InodeID, name: [UInt8], _ new: NewInode
    ) throws(Errno) -> InodeRecord {
        for _ in 0..<Rounds.decisions {
            let id = try nextIdentifier()
            let record = newRecord(new, id: id, parent: parent)
            switch try commit(
                creationConditions(id, parent, name),
                creation(of: record, new, in: parent, name))
            {
            case .committed:
                known.note(record)
                return record
            case .conditionFailed(0): throw .exists
            case .conditionFailed(1): throw .noEntry
            case .conditionFailed:
                // The number is taken: the store has lost its latest changes.
                identifiers.discard()
            }
        }
        throw tooManyRounds("create")
    }

    private func creationConditions(
        _ id: UInt64, _ parent: InodeID, _ name: [UInt8]
    ) -> [Condition] {
        [
            .fieldAbsent(key: schema.directory(parent), field: name),
            .keyExists(schema.inode(parent)),
            .keyAbsent(schema.inode(InodeID(id))),
        ]
    }

    private func creation(
        of record: InodeRecord, _ new: NewInode, in parent: InodeID, _ name: [UInt8]
    ) -> [Mutation] {
        var mutations: [Mutation] = [
            .setFields(key: schema.inode(record.id), record.storedFields),
            .setFields(
                key: schema.directory(parent), [Pair(name, EntryValue(record).stored)]),
        ]
        if record.kind == .directory { mutations.append(link(parent, by: 1)) }
        if !new.attributes.isEmpty {
            mutations.append(
                .setFields(
                    key: schema.xattrs(record.id),
                    new.attributes.map { Pair($0.name, $0.value) }))
        }
        mutations += touch(parent, new.time)
        mutations.append(increment(Field.inodes, by: 1))
        mutations.append(publish([.entry(parent: parent, name: name), .attributes(parent)]))
        return mutations
    }

    func newRecord(_ new: NewInode, id: UInt64, parent: InodeID) -> InodeRecord {
        InodeRecord(
            id: InodeID(id), kind: new.kind, permissions: new.permissions & 0o7777,
            userID: new.userID, groupID: new.groupID,
            linkCount: new.kind == .directory ? 2 : 1,
            size: UInt64(new.target.count), accessTime: new.time, modificationTime: new.time,
            changeTime: new.time, device: new.device,
            data: DataID(new.kind == .regular ? id : 0),
            // Room for one block, so that a small file is stored in one trip.
            allocatedBlocks: new.kind == .regular ? 1 : 0, birthEpoch: settings.epoch,
            parent: new.kind == .directory ? parent : InodeID(0), target: new.target,
            hasXattrs: !new.attributes.isEmpty,
            extender: new.kind == .regular ? sessionID : SessionID(0), codec: new.codec)
    }

    /// Raises the times of a directory whose entries change.
    func touch(_ directory: InodeID, _ time: Timestamp) -> [Mutation] {
        let key = schema.inode(directory)
        return [
            .raise(key: key, field: Field.modificationTime, to: time.nanoseconds),
            .raise(key: key, field: Field.changeTime, to: time.nanoseconds),
        ]
    }

    func link(_ inode: InodeID, by amount: Int64) -> Mutation {
        .increment(key: schema.inode(inode), field: Field.links, by: amount)
    }

    /// A number that nobody has used in this volume.
    func nextIdentifier() throws(Errno) -> UInt64 {
        for _ in 0..<Rounds.decisions {
            if let id = identifiers.next() { return id }
            let outcome = try commit(
                [.fieldExists(key: schema.volume, field: Field.nextID)],
                [increment(Field.nextID, by: Int64(IdentifierSupply.rangeLength))])
            guard case .committed(let sums) = outcome, let sum = sums.first else {
                throw malformed(schema.volume, "ni is missing")
            }
            guard identifiers.refill(upTo: sum) else {
                throw malformed(schema.volume, "ni is \(sum)")
            }
        }
        throw tooManyRounds("taking numbers")
    }
}
