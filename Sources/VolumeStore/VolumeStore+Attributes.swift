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

/// An extended attribute that changes in one batch with permissions.
public struct AccessListChange: Sendable, Equatable {
    public var name: [UInt8]
    /// `nil`: it is removed, if it is there.
    public var value: [UInt8]?
    /// The change only happens if this is its value now. `nil`: whatever it is.
    public var expected: [UInt8]?

    public init(name: [UInt8], value: [UInt8]?, expected: [UInt8]? = nil) {
        self.name = name
        self.value = value
        self.expected = expected
    }
}

extension VolumeStore {
    /// Sets attributes to exact values, in one trip. ESTALE when the inode is gone. False when `list`
    /// expects another value than is there; then nothing happened.
    @discardableResult
    public func setAttributes(
        of inode: InodeID, _ change: RecordChange, list: AccessListChange? = nil
    ) throws(Errno) -> Bool {
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
        guard !pairs.isEmpty else { return true }
        let key = schema.inode(inode)
        var conditions: [Condition] = [.keyExists(key)]
        var mutations: [Mutation] = []
        if let list {
            let attributes = schema.xattrs(inode)
            if let expected = list.expected {
                conditions.append(
                    .fieldEquals(key: attributes, field: list.name, value: expected))
            }
            if let value = list.value {
                mutations.append(.setFields(key: attributes, [Pair(list.name, value)]))
                pairs.append(Pair(Field.hasXattrs, Field.one))
            } else {
                mutations.append(.deleteFields(key: attributes, [list.name]))
            }
        }
        mutations += [.setFields(key: key, pairs), publish([.attributes(inode)])]
        switch try commit(conditions, mutations) {
        case .committed: return true
        case .conditionFailed(0): throw .stale
        case .conditionFailed: return false
        }
    }

    /// The kind of an inode never changes, so what was seen of it once is right.
    private func kind(of inode: InodeID) throws(Errno) -> FileKind {
        if let entry = known.entry(inode) { return entry.kind }
        return try record(of: inode).kind
    }
}
