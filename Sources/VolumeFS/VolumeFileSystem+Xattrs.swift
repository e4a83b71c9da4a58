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
        if key == CodecAttribute.name {
            guard let codec = state.record.codec else { throw .noAttribute }
            return CodecAttribute.value(codec)
        }
        guard state.record.hasXattrs else { throw .noAttribute }
        let value =
            SystemAttributes.contains(key)
            ? try systemAttributes(of: state).value(of: key) : try store.xattr(inode, name: key)
        guard let value else { throw .noAttribute }
        return value
    }

    public func listxattr(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        let record = try freshState(of: inode).record
        let own = record.codec == nil ? [] : [CodecAttribute.name]
        // Only who may read the trusted ones sees them (xattr(7)).
        let hidden = caller.userID == 0 ? nil : Self.trusted
        let stored = record.hasXattrs ? try store.xattrs(inode).map { $0.name } : []
        return (own + stored)
            // What nobody could have set, and nobody can get: a damaged record.
            .filter { Self.isServed($0) }
            .filter { name in hidden.map { !name.starts(with: $0) } ?? true }
            .sorted { $0.lexicographicallyPrecedes($1) }
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
        let state = try freshState(of: inode)
        if AccessList.isName(key) {
            try setAccessList(caller, of: state, name: key, value: value)
            return
        }
        if key == CodecAttribute.name {
            try setCodec(of: state, to: value, mode: mode)
            return
        }
        let time = Timestamp.now
        try store.setXattr(inode, name: key, value: [UInt8](value), mode: mode, time: time)
        generations.bump(inode)
        state.withCommitted { facts in
            facts.record.hasXattrs = true
            if SystemAttributes.contains(key) { facts.systemAttributes = nil }
            facts.record.changeTime = max(facts.record.changeTime, time)
        }
    }

    public func removexattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try attributeName(name)
        let state = try freshState(of: inode)
        if AccessList.isName(key) {
            try removeAccessList(of: state, name: key)
            return
        }
        if key == CodecAttribute.name {
            try setCodec(of: state, to: nil, mode: .replace)
            return
        }
        guard state.record.hasXattrs else { throw .noAttribute }
        let time = Timestamp.now
        try store.removeXattr(inode, name: key, time: time)
        generations.bump(inode)
        state.withCommitted { facts in
            facts.record.changeTime = max(facts.record.changeTime, time)
            if SystemAttributes.contains(key) { facts.systemAttributes = nil }
        }
    }

    private static let trusted = [UInt8]("trusted.".utf8)

    /// EOPNOTSUPP for a namespace that is not stored, as on any filesystem that does not know it: of the
    /// system's only access control lists are.
    private func attributeName(_ name: FileName) throws(Errno) -> [UInt8] {
        guard name.bytes.count <= FileName.maximumByteCount else { throw .outOfRange }
        let key = name.copied
        guard Self.isServed(key) else { throw .notSupported }
        return key
    }

    private static func isServed(_ name: [UInt8]) -> Bool {
        if AccessList.isName(name) { return true }
        return name.count <= FileName.maximumByteCount && !name.contains(0)
            && ["user.", "trusted.", "security."].contains {
                name.starts(with: $0.utf8) && name.count > $0.utf8.count
            }
    }
}
