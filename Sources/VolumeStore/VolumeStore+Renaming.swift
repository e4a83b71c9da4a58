public import FileSystem
import KeyValue
public import Primitives

/// What a rename did.
public struct RenameOutcome: Sendable, Equatable {
    public var moved: InodeRecord
    /// What lost the target name.
    public var replaced: Removal?
    /// With RENAME_EXCHANGE: what came to the old place.
    public var exchanged: InodeRecord?
    /// With RENAME_WHITEOUT: what was made at the old place.
    public var whiteout: InodeRecord?
    /// Both names are of one inode: POSIX asks for nothing to be done.
    public var isNoOp: Bool
}

extension VolumeStore {
    /// One end of a rename: a name, and what the caller believes it to be.
    public typealias RenameEnd = (parent: InodeID, name: [UInt8], believed: InodeRecord?)

    /// rename(2) and renameat2(2) with NOREPLACE and EXCHANGE (EINVAL for both). ENOENT, EEXIST, EISDIR,
    /// ENOTDIR, ENOTEMPTY; EINVAL when a directory would come below itself.
    ///
    /// With `whiteout` (not with EXCHANGE) such an inode is made under the old name, in the same batch.
    ///
    /// One trip when the beliefs are right; a target of which nothing is believed counts as absent at
    /// first. A directory that changes its parent costs a trip for each ancestor of the new parent that
    /// this mount has not seen lately.
    public func rename(
        from: RenameEnd, to: RenameEnd, flags: RenameFlags, whiteout: NewInode? = nil,
        isOpen: (InodeID) -> Bool, time: Timestamp
    ) throws(Errno) -> RenameOutcome {
        guard flags.isEmpty || flags == .noReplace || flags == .exchange else { throw .invalid }
        var source = from.believed
        var target = to.believed
        var isTargetCertain = false
        var trustsKnownParents = true
        for _ in 0..<Rounds.decisions {
            let moving = try resolve(source, from.parent, from.name)
            if flags == .exchange, target == nil {
                target = try lookup(parent: to.parent, name: to.name)
                isTargetCertain = true
            }
            let plan = try planRename(
                (from.parent, from.name, moving), (to.parent, to.name, target), flags: flags,
                isOpen: isOpen, time: time, trustsKnownParents: trustsKnownParents)
            switch plan {
            case .refuse(let errno):
                // Only what was read just now justifies a refusal.
                if source == nil, isTargetCertain, !trustsKnownParents,
                    try areTogether((from.parent, from.name, moving), (to.parent, to.name, target))
                {
                    throw errno
                }
            case .nothing:
                if source == nil, isTargetCertain,
                    try areTogether((from.parent, from.name, moving), (to.parent, to.name, target))
                {
                    return RenameOutcome(
                        moved: moving, replaced: nil, exchanged: nil, whiteout: nil,
                        isNoOp: true)
                }
            case .commit(var batch):
                if let whiteout { try add(whiteout, at: (from.parent, from.name), to: &batch) }
                switch try commit(batch.conditions, batch.mutations) {
                case .committed:
                    return finishRename(batch, moving, target, to.parent, from.parent, time)
                case .conditionFailed(let index):
                    if index == batch.emptinessCondition { throw .directoryNotEmpty }
                }
            }
            source = nil
            trustsKnownParents = false
            target = try find(parent: to.parent, name: to.name)
            isTargetCertain = true
            if target == nil, flags == .exchange { throw .noEntry }
        }
        throw tooManyRounds("rename")
    }

    /// Whether both names are what they were found to be at one moment: they were read one after the other.
    private func areTogether(_ from: Source, _ to: Target) throws(Errno) -> Bool {
        let conditions = [sourceCondition(from), targetCondition(to)]
        guard case .committed = try commit(conditions, []) else { return false }
        return true
    }

    private func finishRename(
        _ batch: RenameBatch, _ moving: InodeRecord, _ target: InodeRecord?, _ newParent: InodeID,
        _ oldParent: InodeID, _ time: Timestamp
    ) -> RenameOutcome {
        if let loss = batch.loss { finish(loss) }
        var moved = moving
        moved.changeTime = max(moved.changeTime, time)
        if moved.kind == .directory {
            moved.parent = newParent
            known.update(moved.id) { $0.parent = newParent }
        }
        var exchanged = batch.isExchange ? target : nil
        if var other = exchanged {
            other.changeTime = max(other.changeTime, time)
            if other.kind == .directory {
                other.parent = oldParent
                known.update(other.id) { $0.parent = oldParent }
            }
            exchanged = other
        }
        return RenameOutcome(
            moved: moved, replaced: batch.loss?.removal, exchanged: exchanged,
            whiteout: batch.whiteout, isNoOp: false)
    }

    /// Behind everything else of the batch: the old name is free there.
    private func add(
        _ whiteout: NewInode, at place: (parent: InodeID, name: [UInt8]),
        to batch: inout RenameBatch
    ) throws(Errno) {
        let record = newRecord(whiteout, id: try nextIdentifier(), parent: place.parent)
        let key = schema.inode(record.id)
        batch.conditions.append(.keyAbsent(key))
        batch.mutations += [
            .setFields(key: key, record.storedFields),
            .setFields(
                key: schema.directory(place.parent),
                [Pair(place.name, EntryValue(record).stored)]),
            increment(Field.inodes, by: 1),
        ]
        batch.whiteout = record
    }
}

/// A rename that was decided.
struct RenameBatch {
    var conditions: [Condition]
    var mutations: [Mutation]
    /// What the replaced inode loses.
    var loss: NameLoss?
    var isExchange: Bool
    /// What is made under the old name.
    var whiteout: InodeRecord?
    /// Which condition says that the replaced directory is empty. Those before it say that both names
    /// are what they are believed to be.
    var emptinessCondition: Int?
}

enum RenamePlan {
    case refuse(Errno)
    case nothing
    case commit(RenameBatch)
}
