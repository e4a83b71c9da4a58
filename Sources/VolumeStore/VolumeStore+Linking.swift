import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// More links than this are refused (EMLINK), as `st_nlink` of 32-bit programs ends there.
    public static let maximumLinks: UInt32 = 0x7FFF_FFFF

    /// Gives an inode that is no directory (EPERM) another name. EEXIST; ENOENT when the directory or
    /// the inode's last name is gone; EMLINK. One trip when `believed` is given, else two.
    public func link(
        _ inode: InodeID, in newParent: InodeID, name: [UInt8], time: Timestamp,
        believed: InodeRecord? = nil
    ) throws(Errno) -> InodeRecord {
        var record: InodeRecord
        if let believed {
            record = believed
        } else if let found = try records(of: [inode])[0] {
            record = found
        } else {
            throw .noEntry
        }
        guard record.kind != .directory else { throw .notPermitted }
        guard record.linkCount < Self.maximumLinks else { throw .tooManyLinks }
        let key = schema.inode(inode)
        let directory = schema.directory(newParent)
        let outcome = try commit(
            [
                .fieldAbsent(key: directory, field: name),
                .keyExists(schema.inode(newParent)),
                .keyExists(key),
                .fieldAbsent(key: key, field: Field.nameless),
            ],
            [
                .setFields(key: directory, [Pair(name, EntryValue(record).stored)]),
                link(inode, by: 1),
                .raise(key: key, field: Field.changeTime, to: time.nanoseconds),
            ] + touch(newParent, time) + [
                publish([
                    .entry(parent: newParent, name: name), .attributes(newParent),
                    .attributes(inode),
                ])
            ])
        switch outcome {
        case .committed(let sums):
            record.linkCount = UInt32(clamping: sums.first ?? 0)
            record.changeTime = max(record.changeTime, time)
            return record
        case .conditionFailed(0): throw .exists
        case .conditionFailed: throw .noEntry
        }
    }
}
