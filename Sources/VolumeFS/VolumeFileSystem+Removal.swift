import Cache
public import FileSystem
public import Primitives
import VolumeStore

// What takes names away: unlink, rmdir, rename.
extension VolumeFileSystem {
    public func unlink(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try checked(name)
        let time = Timestamp.now
        let believed = believedChild(of: parent, name: key)
        let directoryChange = beginChange(of: parent)
        let change = believed.map { beginChange(of: $0.id) }
        let removal = try store.unlink(
            parent: parent, name: key, believed: believed, isOpen: isOpen, time: time)
        endEntryChange(directoryChange, at: time)
        entries.remove(parent: parent, name: key)
        end(removal, change, at: time)
    }

    public func rmdir(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try checked(name)
        if key == [UInt8(ascii: ".")] { throw .invalid }
        let time = Timestamp.now
        let believed = believedChild(of: parent, name: key)
        let directoryChange = beginChange(of: parent)
        let change = believed.map { beginChange(of: $0.id) }
        let removal = try store.rmdir(
            parent: parent, name: key, believed: believed, time: time)
        endEntryChange(directoryChange, at: time, addedLinks: -1)
        entries.remove(parent: parent, name: key)
        end(removal, change, at: time)
    }

    public func rename(
        _ caller: Caller, parent: InodeID, name: FileName,
        newParent: InodeID, newName: FileName, flags: RenameFlags
    ) throws(Errno) {
        try requireWritable()
        guard flags.isSubset(of: [.noReplace, .whiteout]) || flags == .exchange else {
            throw .invalid
        }
        let oldKey = try checked(name)
        let newKey = try checked(newName)
        let time = Timestamp.now
        expectName(newKey, in: newParent)
        if !flags.isDisjoint(with: [.exchange, .whiteout]) { expectName(oldKey, in: parent) }
        let believedTarget = believedChild(of: newParent, name: newKey)
        let directoryChanges = [parent, newParent].map { beginChange(of: $0) }
        let targetChange = believedTarget.map { beginChange(of: $0.id) }
        let outcome = try store.rename(
            from: (parent, oldKey, believedChild(of: parent, name: oldKey)),
            to: (newParent, newKey, believedTarget),
            flags: flags.subtracting(.whiteout),
            whiteout: flags.contains(.whiteout) ? .whiteout(of: caller, at: time) : nil,
            isOpen: isOpen, time: time)
        if outcome.isNoOp { return }
        endEntryChanges(directoryChanges, outcome, isOneDirectory: parent == newParent, at: time)
        generations.bump(outcome.moved.id)
        if let exchanged = outcome.exchanged {
            generations.bump(exchanged.id)
            noteEntry(directoryChanges[0], oldKey, exchanged.id)
            noteMove(exchanged, to: parent, at: time)
        } else if let whiteout = outcome.whiteout {
            noteEntry(directoryChanges[0], oldKey, whiteout.id)
            _ = inodes.install(whiteout, addingReference: false) { true }
        } else {
            entries.remove(parent: parent, name: oldKey)
        }
        noteEntry(directoryChanges[1], newKey, outcome.moved.id)
        noteMove(outcome.moved, to: newParent, at: time)
        if let replaced = outcome.replaced { end(replaced, targetChange, at: time) }
    }

    /// Whether a program on this mount has the inode open, so that it must outlive its last name.
    private func isOpen(_ inode: InodeID) -> Bool {
        inodes.state(of: inode)?.withFacts { $0.openCount > 0 } ?? false
    }

    private func noteMove(_ record: InodeRecord, to parent: InodeID, at time: Timestamp) {
        guard let state = inodes.state(of: record.id) else { return }
        state.withCommitted { facts in
            facts.isBeingCopied = false
            if record.kind == .directory { facts.record.parent = parent }
            facts.record.changeTime = max(facts.record.changeTime, time)
        }
    }

    /// The link counts of the two directories of a rename: a subdirectory counts where it stands.
    private func endEntryChanges(
        _ changes: [OwnChange], _ outcome: RenameOutcome, isOneDirectory: Bool, at time: Timestamp
    ) {
        func links(_ record: InodeRecord?) -> Int { record?.kind == .directory ? 1 : 0 }
        let moved = links(outcome.moved)
        let exchanged = links(outcome.exchanged)
        let replaced = outcome.replaced?.kind == .directory ? 1 : 0
        guard !isOneDirectory else {
            return endEntryChange(changes[0], at: time, addedLinks: -replaced)
        }
        endEntryChange(changes[0], at: time, addedLinks: exchanged - moved)
        endEntryChange(changes[1], at: time, addedLinks: moved - exchanged - replaced)
    }

    /// A name of an inode went; with the last one its data goes, unless it is still open. `believed`: of
    /// the inode that was thought to have the name.
    private func end(_ removal: Removal, _ believed: OwnChange?, at time: Timestamp) {
        // Of another inode nothing was noted before.
        let change = believed.flatMap { $0.inode == removal.inode ? $0 : nil }
        var allocated: UInt64 = 0
        endChange(change ?? .unknown(of: removal.inode)) { facts in
            facts.record.linkCount = removal.linkCount
            facts.record.changeTime = max(facts.record.changeTime, time)
            facts.isOrphan = removal.isOrphan
            facts.isRemoved = removal.linkCount == 0 && !removal.isOrphan
            if facts.isRemoved {
                facts.isDirty = false
                facts.pending = PendingAttributes()
            }
            allocated = facts.record.allocatedBlocks
            return removal.linkCount > 0
        }
        guard inodes.state(of: removal.inode) != nil else { return }
        guard removal.linkCount == 0, !removal.isOrphan else { return }
        if removal.kind == .regular {
            cache.discard(removal.data, owner: removal.inode, blockCount: allocated)
        }
        inodes.remove(removal.inode)
    }
}

extension NewInode {
    /// What hides a name of the layers below (RENAME_WHITEOUT of renameat2(2)): a device 0:0.
    fileprivate static func whiteout(of caller: Caller, at time: Timestamp) -> NewInode {
        NewInode(
            kind: .characterDevice, permissions: 0, userID: caller.userID, groupID: caller.groupID,
            device: 0, target: [], time: time)
    }
}
