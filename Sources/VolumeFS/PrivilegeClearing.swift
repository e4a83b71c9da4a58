import FileSystem
import VolumeStore

/// What a change of a file's content does to setuid and setgid (chmod(2), inode(7)). Pure.
enum PrivilegeClearing: Equatable {
    /// Whoever changes it may keep both (CAP_FSETID).
    case none
    /// setuid goes, and setgid where the group may execute.
    case byMember
    /// Somebody outside of the file's group: both go.
    case byStranger

    /// What stays of a record's permissions. Directories keep theirs.
    func permissions(of record: InodeRecord) -> UInt32 {
        guard record.kind != .directory else { return record.permissions }
        switch self {
        case .none: return record.permissions
        case .byMember where record.permissions & 0o010 == 0: return record.permissions & ~0o4000
        case .byMember, .byStranger: return record.permissions & ~0o6000
        }
    }

    /// The same, `nil` when nothing changes.
    func newPermissions(of record: InodeRecord) -> UInt32? {
        let kept = permissions(of: record)
        return kept == record.permissions ? nil : kept
    }
}

extension VolumeFileSystem {
    /// What a change by `caller` does, if the kernel (or, where it does not say, the caller's not being
    /// root) asks to clear. Groups are looked at only where they decide.
    func privilegeClearing(
        by caller: Caller, of state: InodeState, if isAsked: Bool
    ) -> PrivilegeClearing {
        guard isAsked else { return .none }
        let record = state.record
        guard record.permissions & 0o2010 == 0o2000, record.kind != .directory else {
            return .byMember
        }
        return mayKeepGroupPrivilege(caller, record) ? .byMember : .byStranger
    }

    /// Whether root, or a member of the file's group, asks.
    func mayKeepGroupPrivilege(_ caller: Caller, _ record: InodeRecord) -> Bool {
        caller.userID == 0 || caller.groupID == record.groupID
            || caller.supplementaryGroups().contains(record.groupID)
    }
}

extension InodeRecord {
    /// A directory that nobody but its owner's special rights may enter.
    var isClosed: Bool { permissions & 0o777 == 0 }
}
