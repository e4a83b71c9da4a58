public import Codecs
public import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// The value of an extended attribute; `nil` when there is none. One trip.
    public func xattr(_ inode: InodeID, name: [UInt8]) throws(Errno) -> [UInt8]? {
        let answers = try read([.fields(key: schema.xattrs(inode), [name])])
        guard case .values(let values) = answers[0], values.count == 1 else {
            throw answerMismatch()
        }
        return values[0]
    }

    /// The values of some extended attributes, in order; `nil` for each that is not there. One trip.
    public func xattrs(
        _ inode: InodeID, names: [[UInt8]]
    ) throws(Errno) -> [[UInt8]?] {
        let answers = try read([.fields(key: schema.xattrs(inode), names)])
        guard case .values(let values) = answers[0], values.count == names.count else {
            throw answerMismatch()
        }
        return values
    }

    /// All extended attributes. One trip.
    public func xattrs(
        _ inode: InodeID
    ) throws(Errno) -> [(name: [UInt8], value: [UInt8])] {
        let answers = try read([.allFields(key: schema.xattrs(inode))])
        guard case .pairs(let pairs) = answers[0] else { throw answerMismatch() }
        return pairs.map { ($0.field, $0.value) }
    }

    /// EEXIST and ENODATA as `mode` asks; ESTALE when the inode is gone. One trip.
    public func setXattr(
        _ inode: InodeID, name: [UInt8], value: [UInt8], mode: SetXattrMode, time: Timestamp
    ) throws(Errno) {
        let key = schema.inode(inode)
        let attributes = schema.xattrs(inode)
        var conditions: [Condition] = [.keyExists(key)]
        switch mode {
        case .createOrReplace: break
        case .create: conditions.append(.fieldAbsent(key: attributes, field: name))
        case .replace: conditions.append(.fieldExists(key: attributes, field: name))
        }
        let outcome = try commit(
            conditions,
            [
                .setFields(key: attributes, [Pair(name, value)]),
                .setFields(key: key, [Pair(Field.hasXattrs, Field.one)]),
                .raise(key: key, field: Field.changeTime, to: time.nanoseconds),
                publish([.attributes(inode)]),
            ])
        switch outcome {
        case .committed: return
        case .conditionFailed(0): throw .stale
        case .conditionFailed: throw mode == .create ? .exists : .noAttribute
        }
    }

    /// ENODATA when there is none of that name; ESTALE when the inode is gone. One trip.
    public func removeXattr(
        _ inode: InodeID, name: [UInt8], time: Timestamp
    ) throws(Errno) {
        let key = schema.inode(inode)
        let attributes = schema.xattrs(inode)
        let outcome = try commit(
            [.keyExists(key), .fieldExists(key: attributes, field: name)],
            [
                .deleteFields(key: attributes, [name]),
                .raise(key: key, field: Field.changeTime, to: time.nanoseconds),
                publish([.attributes(inode)]),
            ])
        switch outcome {
        case .committed: return
        case .conditionFailed(0): throw .stale
        case .conditionFailed: throw .noAttribute
        }
    }

    /// What the blocks of a file, or the files made in a directory, are compressed with from now on; `nil`:
    /// the volume's codec. As for an extended attribute: EEXIST and ENODATA as `mode` asks (ENODATA for
    /// removing none), ESTALE when the inode is gone. One trip.
    public func setCodec(
        _ inode: InodeID, _ codec: Codec?, mode: SetXattrMode, time: Timestamp
    ) throws(Errno) {
        let key = schema.inode(inode)
        var conditions: [Condition] = [.keyExists(key)]
        switch codec == nil ? .replace : mode {
        case .createOrReplace: break
        case .create: conditions.append(.fieldAbsent(key: key, field: Field.ownCodec))
        case .replace: conditions.append(.fieldExists(key: key, field: Field.ownCodec))
        }
        let change: Mutation =
            codec.map { .setFields(key: key, [Pair(Field.ownCodec, Bytes($0.name.utf8))]) }
            ?? .deleteFields(key: key, [Field.ownCodec])
        let outcome = try commit(
            conditions,
            [
                change, .raise(key: key, field: Field.changeTime, to: time.nanoseconds),
                publish([.attributes(inode)]),
            ])
        switch outcome {
        case .committed:
            known.update(inode) { entry in
                entry.codec = codec
                entry.compression = CompressionHistory()
            }
        case .conditionFailed(0): throw .stale
        case .conditionFailed: throw codec != nil && mode == .create ? .exists : .noAttribute
        }
    }
}
