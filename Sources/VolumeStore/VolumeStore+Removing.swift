public import FileSystem
import KeyValue
public import Primitives

/// What became of an inode that lost a name.
public struct Removal: Sendable, Equatable {
    public var inode: InodeID
    public var kind: FileKind
    /// The links that are left; 0: the last name went. Of a directory: 0.
    public var linkCount: UInt32
    public var data: DataID
    /// No names are left, and this session keeps it until `VolumeStore.removeOrphan(_:)`.
    public var isOrphan: Bool
    /// Upper bound of the block indexes of `data`.
    public var allocatedBlocks: UInt64
}

/// What a batch does to an inode that loses a name: judged when the batch is decided.
struct NameLoss {
    var removal: Removal
    var conditions: [Condition]
    var mutations: [Mutation]
    var changes: [RemoteChange]
    /// For the reaper, once the batch happened.
    var garbage: [GarbageItem]
    /// The reaper has to look at the list later.
    var isDelayed = false
}

extension VolumeStore {
    /// Removes a name of anything but a directory (EISDIR). One trip when `believed` is right.
    ///
    /// `isOpen` says whether this mount has the inode open; then it stays usable without names.
    public func unlink(
        parent: InodeID, name: [UInt8], believed: InodeRecord?,
        isOpen: (InodeID) -> Bool, time: Timestamp
    ) throws(Errno) -> Removal {
        var believed = believed
        for _ in 0..<Rounds.decisions {
            let record = try resolve(believed, parent, name)
            guard record.kind != .directory else {
                if believed == nil { throw .isDirectory }
                believed = nil
                continue
            }
            let loss = lossOfName(record, isOpen: isOpen(record.id), time: time)
            let outcome = try removeEntry(parent, name, record, loss, [], time)
            if case .committed = outcome {
                finish(loss)
                return loss.removal
            }
            believed = nil
        }
        throw tooManyRounds("unlink")
    }

    /// Removes an empty directory. ENOTDIR, ENOTEMPTY. One trip when `believed` is right.
    public func rmdir(
        parent: InodeID, name: [UInt8], believed: InodeRecord?, time: Timestamp
    ) throws(Errno) -> Removal {
        var believed = believed
        for _ in 0..<Rounds.decisions {
            let record = try resolve(believed, parent, name)
            guard record.kind == .directory else {
                if believed == nil { throw .notDirectory }
                believed = nil
                continue
            }
            let loss = lossOfDirectory(record)
            let outcome = try removeEntry(parent, name, record, loss, [link(parent, by: -1)], time)
            switch outcome {
            case .committed:
                finish(loss)
                return loss.removal
            // The entry is the believed one (condition 0), so the directory is not empty.
            case .conditionFailed(1): throw .directoryNotEmpty
            case .conditionFailed: believed = nil
            }
        }
        throw tooManyRounds("rmdir")
    }

    /// What is believed of a name; without that, what it is.
    func resolve(
        _ believed: InodeRecord?, _ parent: InodeID, _ name: [UInt8]
    ) throws(Errno) -> InodeRecord {
        if let believed { return believed }
        return try lookup(parent: parent, name: name)
    }

    private func removeEntry(
        _ parent: InodeID, _ name: [UInt8], _ record: InodeRecord, _ loss: NameLoss,
        _ more: [Mutation], _ time: Timestamp
    ) throws(Errno) -> CommitOutcome {
        let directory = schema.directory(parent)
        let conditions = [
            Condition.fieldEquals(key: directory, field: name, value: EntryValue(record).stored)
        ]
        let changes = [.entry(parent: parent, name: name), .attributes(parent)] + loss.changes
        return try commit(
            conditions + loss.conditions,
            [.deleteFields(key: directory, [name])] + loss.mutations + more
                + touch(parent, time) + [publish(changes)])
    }

    /// Tells the reaper, after the batch happened.
    func finish(_ loss: NameLoss) {
        if loss.removal.linkCount == 0 {
            known.forget(loss.removal.inode)
        }
        reaper.add(loss.garbage)
        if loss.isDelayed {
            reaper.scan(inMilliseconds: Int(Reaping.graceMilliseconds) + 100)
        }
    }

    /// Conditions under which `removal(of:dueMilliseconds:)` takes everything of the inode along.
    func removalConditions(_ record: InodeRecord) -> [Condition] {
        let key = schema.inode(record.id)
        var conditions: [Condition] = [
            .fieldEquals(
                key: key, field: Field.links, value: Bytes(decimal: UInt64(record.linkCount)))
        ]
        guard record.kind == .regular else { return conditions }
        conditions.append(
            .fieldEquals(key: key, field: Field.data, value: Bytes(decimal: record.data.rawValue)))
        conditions.append(
            record.allocatedBlocks == 0
                ? .fieldAbsent(key: key, field: Field.alloc)
                : .fieldEquals(
                    key: key, field: Field.alloc, value: Bytes(decimal: record.allocatedBlocks)))
        return conditions
    }

    /// Takes an inode out of the volume; its data goes to the garbage list.
    func removal(
        of record: InodeRecord, dueMilliseconds: Int64
    ) -> (mutations: [Mutation], garbage: [GarbageItem]) {
        let garbage = GarbageItem.data(of: record)
        var mutations: [Mutation] = [
            .delete(key: schema.inode(record.id)),
            .delete(key: schema.xattrs(record.id)),
            increment(Field.inodes, by: -1),
        ]
        if record.storedBlocks > 0 {
            mutations.append(increment(Field.blocks, by: -Int64(record.storedBlocks)))
        }
        mutations += garbage.map { discard($0, dueMilliseconds: dueMilliseconds) }
        return (mutations, garbage)
    }

    func discard(_ item: GarbageItem, dueMilliseconds: Int64) -> Mutation {
        .addMemberDue(
            key: schema.garbage, name: item.stored, inMilliseconds: dueMilliseconds)
    }

    /// The loss of a name of a file: decided from what is believed of it, and conditioned on that.
    func lossOfName(_ believed: InodeRecord, isOpen: Bool, time: Timestamp) -> NameLoss {
        let record = refreshed(believed)
        let key = schema.inode(record.id)
        let links = Condition.fieldEquals(
            key: key, field: Field.links, value: Bytes(decimal: UInt64(record.linkCount)))
        var loss = NameLoss(
            removal: Removal(
                inode: record.id, kind: record.kind, linkCount: max(record.linkCount, 1) - 1,
                data: record.data, isOrphan: false, allocatedBlocks: record.allocatedBlocks),
            conditions: [links], mutations: [], changes: [.attributes(record.id)], garbage: [])
        let changed = Mutation.raise(key: key, field: Field.changeTime, to: time.nanoseconds)
        guard record.linkCount <= 1 else {
            loss.mutations = [link(record.id, by: -1), changed]
            return loss
        }
        loss.changes = [.removed(record.id)]
        let nameless = Mutation.setFields(
            key: key, [Pair(Field.links, [UInt8(ascii: "0")]), Pair(Field.nameless, Field.one)])
        if isOpen {
            loss.removal.isOrphan = true
            loss.mutations = [nameless, changed, claim(record.id)]
        } else if let alone = aloneCondition() {
            let (mutations, garbage) = removal(of: record, dueMilliseconds: 0)
            loss.conditions = removalConditions(record) + [alone]
            loss.mutations = mutations
            loss.garbage = garbage
        } else {
            loss.mutations = [
                nameless, changed,
                discard(.inode(record.id), dueMilliseconds: Reaping.graceMilliseconds),
            ]
            loss.isDelayed = true
        }
        return loss
    }

    /// The loss of the name of a directory, which has to be empty. The first condition says so.
    func lossOfDirectory(_ record: InodeRecord) -> NameLoss {
        NameLoss(
            removal: Removal(
                inode: record.id, kind: .directory, linkCount: 0, data: DataID(0),
                isOrphan: false, allocatedBlocks: 0),
            conditions: [
                .keyAbsent(schema.directory(record.id)),
                .keyExists(schema.inode(record.id)),
            ],
            mutations: [
                .delete(key: schema.inode(record.id)),
                .delete(key: schema.xattrs(record.id)),
                increment(Field.inodes, by: -1),
            ],
            changes: [.removed(record.id)], garbage: [])
    }

    /// Holds while no session joined; `nil` when others may be there already.
    func aloneCondition() -> Condition? {
        let epoch: Int64? = membership.state.withLock {
            $0.isAlone && !$0.leaseEnd.hasPassed ? $0.epoch : nil
        }
        return epoch.map {
            .fieldEquals(
                key: schema.volume, field: Field.sessionEpoch, value: Bytes(decimal: $0))
        }
    }

    /// What the caller believes, with what this store has learned by its own changes since.
    func refreshed(_ believed: InodeRecord) -> InodeRecord {
        guard let entry = known.entry(believed.id), entry.data == believed.data else {
            return believed
        }
        var record = believed
        record.allocatedBlocks = max(record.allocatedBlocks, entry.alloc)
        if record.allocatedBlocks == entry.alloc { record.denseBlocks = entry.dense }
        record.storedBlocks = entry.stored
        record.tail = entry.tail
        return record
    }
}
