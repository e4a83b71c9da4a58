import FileSystem
import KeyValue
public import Primitives

/// Exact values for attributes; `nil` stays as it is.
public struct RecordChange: Sendable, Equatable {
    /// The low 12 bits of a mode.
    public var permissions: UInt32?
    public var userID: UInt32?
    public var groupID: UInt32?
    public var accessTime: Timestamp?
    public var modificationTime: Timestamp?
    public var changeTime: Timestamp?

    public init(
        permissions: UInt32? = nil, userID: UInt32? = nil, groupID: UInt32? = nil,
        accessTime: Timestamp? = nil, modificationTime: Timestamp? = nil,
        changeTime: Timestamp? = nil
    ) {
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.accessTime = accessTime
        self.modificationTime = modificationTime
        self.changeTime = changeTime
    }
}

extension VolumeStore {
    /// Sets attributes to exact values, in one trip. ESTALE when the inode is gone.
    public func setAttributes(of inode: InodeID, _ change: RecordChange) throws(Errno) {
        var pairs: [Pair] = []
        func add(_ field: Bytes, _ time: Timestamp?) {
            if let time { pairs.append(Pair(field, Bytes(decimal: time.nanoseconds))) }
        }
        if let permissions = change.permissions {
            let mode = try kind(of: inode).modeBits | permissions & 0o7777
            pairs.append(Pair(Field.mode, Bytes(decimal: UInt64(mode))))
        }
        if let user = change.userID {
            pairs.append(Pair(Field.user, Bytes(decimal: UInt64(user))))
        }
        if let group = change.groupID {
            pairs.append(Pair(Field.group, Bytes(decimal: UInt64(group))))
        }
        add(Field.accessTime, change.accessTime)
        add(Field.modificationTime, change.modificationTime)
        add(Field.changeTime, change.changeTime)
        guard !pairs.isEmpty else { return }
        let key = schema.inode(inode)
        let outcome = try commit(
            [.keyExists(key)], [.setFields(key: key, pairs), publish([.attributes(inode)])])
        if case .conditionFailed = outcome { throw .stale }
    }

    /// The kind of an inode never changes, so what was seen of it once is right.
    private func kind(of inode: InodeID) throws(Errno) -> FileKind {
        if let entry = known.entry(inode) { return entry.kind }
        return try record(of: inode).kind
    }
}
