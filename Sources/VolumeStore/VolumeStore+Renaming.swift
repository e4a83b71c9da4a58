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
    /// Both names are of one inode: POSIX asks for nothing to be done.
    public var isNoOp: Bool
}

extension VolumeStore {
    /// One end of a rename: a name, and what the caller believes it to be.
    public typealias RenameEnd = (parent: InodeID, name: [UInt8], believed: InodeRecord?)

    /// rename(2) and renameat2(2) with NOREPLACE and EXCHANGE (EINVAL for other flags). ENOENT, EEXIST,
    /// EISDIR, ENOTDIR, ENOTEMPTY; EINVAL when a directory would come below itself.
    ///
    /// One trip when the beliefs are right; a target of which nothing is believed counts as absent at
    /// first. A directory that changes its parent costs a trip for each ancestor of the new parent that
    /// this mount has not seen lately.
    public func rename(
        from: RenameEnd, to: RenameEnd, flags: RenameFlags, isOpen: (InodeID) -> Bool,
        time: Timestamp
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
                if source == nil, isTargetCertain, !trustsKnownParents { throw errno }
            case .nothing:
                if source == nil, isTargetCertain {
                    return RenameOutcome(
                        moved: moving, replaced: nil, exchanged: nil, isNoOp: true)
                }
            case .commit(let batch):
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
            moved: moved, replaced: batch.loss?.removal, exchanged: exchanged, isNoOp: false)
    }
}

/// A rename that was decided.
struct RenameBatch {
    var conditions: [Condition]
    var mutations: [Mutation]
    /// What the replaced inode loses.
    var loss: NameLoss?
    var isExchange: Bool
    /// Which condition says that the replaced directory is empty. Those before it say that both names
    /// are what they are believed to be.
    var emptinessCondition: Int?
}

enum RenamePlan {
    case refuse(Errno)
    case nothing
    case commit(RenameBatch)
}
