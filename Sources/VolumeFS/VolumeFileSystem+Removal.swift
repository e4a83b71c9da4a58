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
        let removal = try store.unlink(
            parent: parent, name: key, believed: believedChild(of: parent, name: key),
            isOpen: isOpen, time: time)
        entries.remove(parent: parent, name: key)
        generations.bump(parent)
        noteEntryChange(in: parent, at: time)
        note(removal, at: time)
    }

    public func rmdir(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try checked(name)
        if key == [UInt8(ascii: ".")] { throw .invalid }
        let time = Timestamp.now
        let removal = try store.rmdir(
            parent: parent, name: key, believed: believedChild(of: parent, name: key), time: time)
        entries.remove(parent: parent, name: key)
        generations.bump(parent)
        noteEntryChange(in: parent, at: time, addedLinks: -1)
        note(removal, at: time)
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
        let outcome = try store.rename(
            from: (parent, oldKey, believedChild(of: parent, name: oldKey)),
            to: (newParent, newKey, believedChild(of: newParent, name: newKey)),
            flags: flags.subtracting(.whiteout),
            whiteout: flags.contains(.whiteout) ? .whiteout(of: caller, at: time) : nil,
            isOpen: isOpen, time: time)
        if outcome.isNoOp { return }
        generations.bump(parent)
        generations.bump(newParent)
        generations.bump(outcome.moved.id)
        if let exchanged = outcome.exchanged {
            generations.bump(exchanged.id)
            entries.insert(parent: parent, name: oldKey, inode: exchanged.id)
            noteMove(exchanged, to: parent, at: time)
        } else if let whiteout = outcome.whiteout {
            entries.insert(parent: parent, name: oldKey, inode: whiteout.id)
            _ = inodes.install(whiteout, addingReference: false) { true }
        } else {
            entries.remove(parent: parent, name: oldKey)
        }
        entries.insert(parent: newParent, name: newKey, inode: outcome.moved.id)
        noteMove(outcome.moved, to: newParent, at: time)
        noteRename(outcome, from: parent, to: newParent, at: time)
        if let replaced = outcome.replaced { note(replaced, at: time) }
    }

    /// Whether a program on this mount has the inode open, so that it must outlive its last name.
    private func isOpen(_ inode: InodeID) -> Bool {
        inodes.state(of: inode)?.withFacts { $0.openCount > 0 } ?? false
    }

    private func noteMove(_ record: InodeRecord, to parent: InodeID, at time: Timestamp) {
        guard let state = inodes.state(of: record.id) else { return }
        state.withFacts { facts in
            facts.isBeingCopied = false
            if record.kind == .directory { facts.record.parent = parent }
            facts.record.changeTime = max(facts.record.changeTime, time)
        }
    }

    /// The link counts of the two directories: a subdirectory counts where it stands.
    private func noteRename(
        _ outcome: RenameOutcome, from parent: InodeID, to newParent: InodeID, at time: Timestamp
    ) {
        func links(_ record: InodeRecord?) -> Int { record?.kind == .directory ? 1 : 0 }
        let moved = links(outcome.moved)
        let exchanged = links(outcome.exchanged)
        let replaced = outcome.replaced?.kind == .directory ? 1 : 0
        guard parent != newParent else {
            noteEntryChange(in: parent, at: time, addedLinks: -replaced)
            return
        }
        noteEntryChange(in: parent, at: time, addedLinks: exchanged - moved)
        noteEntryChange(in: newParent, at: time, addedLinks: moved - exchanged - replaced)
    }

    /// A name of an inode went; with the last one its data goes, unless it is still open.
    private func note(_ removal: Removal, at time: Timestamp) {
        generations.bump(removal.inode)
        guard let state = inodes.state(of: removal.inode) else { return }
        let allocated = state.withFacts { facts in
            facts.record.linkCount = removal.linkCount
            facts.record.changeTime = max(facts.record.changeTime, time)
            facts.isOrphan = removal.isOrphan
            facts.isRemoved = removal.linkCount == 0 && !removal.isOrphan
            if facts.isRemoved {
                facts.isDirty = false
                facts.pending = PendingAttributes()
            }
            return facts.record.allocatedBlocks
        }
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
