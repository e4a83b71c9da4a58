public import FileSystem
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    /// `XATTR_SIZE_MAX` of xattr(7).
    private static let maximumValueBytes = 65_536

    public func getxattr(
        _ caller: Caller, inode: InodeID, name: FileName
    ) throws(Errno) -> [UInt8] {
        let key = try attributeName(name)
        let state = try freshState(of: inode)
        guard state.record.hasXattrs else { throw .noAttribute }
        guard let value = try store.xattr(inode, name: key) else { throw .noAttribute }
        return value
    }

    public func listxattr(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        guard try freshState(of: inode).record.hasXattrs else { return [] }
        return try store.xattrs(inode).map { $0.name }.sorted { $0.lexicographicallyPrecedes($1) }
            .reduce(into: []) { list, name in
                list.append(contentsOf: name)
                list.append(0)
            }
    }

    public func setxattr(
        _ caller: Caller, inode: InodeID, name: FileName, value: UnsafeRawBufferPointer,
        mode: SetXattrMode
    ) throws(Errno) {
        try requireWritable()
        let key = try attributeName(name)
        guard value.count <= Self.maximumValueBytes else { throw .argumentListTooLong }
        let state = try state(of: inode)
        let time = Timestamp.now
        try store.setXattr(inode, name: key, value: [UInt8](value), mode: mode, time: time)
        generations.bump(inode)
        state.withFacts { facts in
            facts.record.hasXattrs = true
            facts.hasNoCapability = false
            facts.record.changeTime = max(facts.record.changeTime, time)
        }
    }

    public func removexattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try attributeName(name)
        let state = try freshState(of: inode)
        guard state.record.hasXattrs else { throw .noAttribute }
        let time = Timestamp.now
        try store.removeXattr(inode, name: key, time: time)
        generations.bump(inode)
        state.withFacts { $0.record.changeTime = max($0.record.changeTime, time) }
    }

    /// EOPNOTSUPP for a namespace that is not stored, as on any filesystem that does not know it. ACLs
    /// (`system.posix_acl_*`) would have to be enforced, not only kept.
    private func attributeName(_ name: FileName) throws(Errno) -> [UInt8] {
        guard name.bytes.count <= FileName.maximumByteCount else { throw .outOfRange }
        let key = name.copied
        let namespaces = ["user.", "trusted.", "security."]
        guard namespaces.contains(where: { key.starts(with: $0.utf8) && key.count > $0.utf8.count })
        else { throw .notSupported }
        return key
    }
}
