import FileSystem
import Logging
import Primitives
import Telemetry
import VolumeStore

// POSIX access control lists. The kernel enforces them (FUSE_POSIX_ACL); kept here are the rules that tie
// them to permission bits: an access list that says no more than the bits is not stored.
extension VolumeFileSystem {
    /// Sets or (with an empty one) removes an access or default list.
    func setAccessList(
        _ caller: Caller, of state: InodeState, name: [UInt8], value: UnsafeRawBufferPointer
    ) throws(Errno) {
        guard state.record.kind != .symbolicLink else { throw .notSupported }
        let list = try AccessList(parsing: value)
        if name == AccessList.defaultName {
            guard state.record.kind == .directory else { throw .accessDenied }
            try replaceList(of: state, name: name, by: list, permissions: nil)
            return
        }
        guard let list else {
            try replaceList(of: state, name: name, by: nil, permissions: nil)
            return
        }
        var permissions = state.record.permissions & ~0o777 | list.mode
        if !mayKeepGroupPrivilege(caller, state.record) { permissions &= ~0o2000 }
        try replaceList(
            of: state, name: name, by: list.isMinimal ? nil : list, permissions: permissions)
    }

    /// Of an absent list, too: as on other filesystems, that is no error.
    func removeAccessList(of state: InodeState, name: [UInt8]) throws(Errno) {
        guard try systemAttributes(of: state).value(of: name) != nil else { return }
        try replaceList(of: state, name: name, by: nil, permissions: nil)
    }

    private func replaceList(
        of state: InodeState, name: [UInt8], by list: AccessList?, permissions: UInt32?
    ) throws(Errno) {
        let change = RecordChange(permissions: permissions, changeTime: .now)
        let lists = AccessListChange(name: name, value: list?.encoded)
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            _ = try store.setAttributes(of: state.id, change, list: lists)
            generations.bump(state.id)
            state.withCommitted { facts in
                facts.apply(change)
                if list != nil { facts.record.hasXattrs = true }
                facts.systemAttributes = nil
            }
        }
    }

    /// chmod(2) changes the access list, too. `nil` when there is none.
    func listChange(
        of state: InodeState, permissions: UInt32
    ) throws(Errno) -> AccessListChange? {
        guard let stored = try systemAttributes(of: state).accessList,
            var list = try storedList(stored, of: state)
        else { return nil }
        list.changeMode(to: permissions)
        return AccessListChange(
            name: AccessList.accessName, value: list.encoded, expected: stored)
    }

    /// What a directory gives to what is made in it: its default list, or else the creator's umask decides
    /// (umask(2), acl(5)).
    func inheritLists(
        into new: inout NewInode, umask: UInt32, from parent: InodeState
    ) throws(Errno) {
        guard new.kind != .symbolicLink else { return }
        guard let stored = try systemAttributes(of: parent).defaultList,
            let defaults = try storedList(stored, of: parent)
        else {
            new.permissions &= ~umask
            return
        }
        let list = defaults.inherited(mode: new.permissions)
        new.permissions = new.permissions & ~0o777 | list.mode
        if !list.isMinimal {
            new.attributes.append((name: AccessList.accessName, value: list.encoded))
        }
        if new.kind == .directory {
            new.attributes.append((name: AccessList.defaultName, value: stored))
        }
    }

    /// EIO for a stored list that cannot be right.
    private func storedList(
        _ value: [UInt8], of state: InodeState
    ) throws(Errno) -> AccessList? {
        do throws(Errno) {
            return try AccessList(parsing: value)
        } catch {
            metrics.add(.malformedRecords)
            logger.error(
                "a stored access list cannot be right", metadata: ["inode": "\(state.id)"])
            throw .ioError
        }
    }
}
