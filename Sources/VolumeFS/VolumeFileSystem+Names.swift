public import FileSystem
public import Primitives
import VolumeStore

// What makes names: mknod, mkdir, symlink, link, create.
extension VolumeFileSystem {
    public func mknod(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, device: UInt32
    ) throws(Errno) -> EntryAnswer {
        guard let kind = FileKind(mode: mode), kind != .directory, kind != .symbolicLink else {
            throw .invalid
        }
        let new = NewInode(
            kind: kind, permissions: mode & 0o7777, userID: caller.userID, groupID: caller.groupID,
            device: device, target: [], time: .now)
        return answer(try make(new, caller, in: parent, name: name))
    }

    public func mkdir(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32
    ) throws(Errno) -> EntryAnswer {
        let new = NewInode(
            kind: .directory, permissions: mode & 0o7777, userID: caller.userID,
            groupID: caller.groupID, device: 0, target: [], time: .now)
        return answer(try make(new, caller, in: parent, name: name))
    }

    public func symlink(
        _ caller: Caller, target: FileName, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        let maximumTargetBytes = 4_095
        guard target.bytes.count <= maximumTargetBytes else { throw .nameTooLong }
        let new = NewInode(
            kind: .symbolicLink, permissions: 0o777, userID: caller.userID,
            groupID: caller.groupID, device: 0, target: target.copied, time: .now)
        return answer(try make(new, caller, in: parent, name: name))
    }

    public func create(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, options: OpenOptions
    ) throws(Errno) -> (EntryAnswer, OpenAnswer) {
        let new = NewInode(
            kind: .regular, permissions: mode & 0o7777, userID: caller.userID,
            groupID: caller.groupID, device: 0, target: [], time: .now)
        do throws(Errno) {
            let state = try make(new, caller, in: parent, name: name)
            return (answer(state), opened(state, options: options))
        } catch {
            // Another mount was faster: without O_EXCL its file is the one to open.
            if error == .exists { inodes.state(of: parent)?.withFacts { $0.names = nil } }
            guard error == .exists, !options.contains(.exclusive) else { throw error }
        }
        let entry = try lookup(caller, parent: parent, name: name)
        do throws(Errno) {
            guard entry.attributes.kind != .symbolicLink else { throw Errno.stale }
            return (entry, try open(caller, inode: entry.attributes.inode, options: options))
        } catch {
            forget(entry.attributes.inode, count: 1)
            throw error
        }
    }

    public func link(
        _ caller: Caller, inode: InodeID, newParent: InodeID, newName: FileName
    ) throws(Errno) -> EntryAnswer {
        try requireWritable()
        let name = try checked(newName)
        let time = Timestamp.now
        expectName(name, in: newParent)
        let directoryChange = beginChange(of: newParent)
        let change = beginChange(of: inode)
        let record = try store.link(
            inode, in: newParent, name: name, time: time,
            believed: inodes.state(of: inode)?.record)
        endEntryChange(directoryChange, at: time)
        noteEntry(directoryChange, name, inode)
        let isUndisturbed = endChange(change) { facts in
            facts.isBeingCopied = false
            facts.record.linkCount = record.linkCount
            facts.record.changeTime = max(facts.record.changeTime, record.changeTime)
            return true
        }
        let state = inodes.install(record, addingReference: true) {
            isUndisturbed && store.hearsChanges
        }
        var answer = answer(state, isKnown: true)
        // The kernel believes this answer even if a message that came later has overtaken it.
        if !store.isAlone { answer.attributesTimeoutSeconds = 0 }
        return answer
    }

    /// Makes an inode under a name: one batch. Counts one kernel reference.
    private func make(
        _ wanted: NewInode, _ caller: Caller, in parent: InodeID, name: FileName
    ) throws(Errno) -> InodeState {
        try requireWritable()
        let key = try checked(name)
        var new = wanted
        let directory = try freshState(of: parent)
        inherit(into: &new, from: directory.record)
        inheritCodec(into: &new, from: directory.record)
        try inheritLists(into: &new, umask: caller.umask, from: directory)
        expectName(key, in: parent)
        let change = beginChange(of: parent)
        let record = try store.create(in: parent, name: key, new)
        endEntryChange(change, at: new.time, addedLinks: new.kind == .directory ? 1 : 0)
        noteEntry(change, key, record.id)
        let state = inodes.install(record, addingReference: true) { store.hearsChanges }
        state.withFacts { facts in
            facts.storedBound = 0
            facts.kernelMayHoldEnd = false
            facts.isBeingCopied =
                directory.record.isClosed && caller.userID == directory.record.userID
            if new.kind == .directory { facts.names = DirectoryNames(budget: nameBudget) }
        }
        return state
    }

    /// A setgid directory gives its group to what is made in it, and setgid to directories (mkdir(2),
    /// inode(7)).
    private func inherit(into new: inout NewInode, from parent: InodeRecord) {
        guard parent.permissions & 0o2000 != 0 else { return }
        new.groupID = parent.groupID
        if new.kind == .directory { new.permissions |= 0o2000 }
    }
}
