import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// Sums in a batch stay exact up to here.
    private static let largestSum: UInt64 = 1 << 53

    /// Makes a file `count` bytes longer and returns where these bytes begin: nobody else is given them.
    /// They read as zeros until they are stored. One trip.
    ///
    /// ESTALE when the inode is gone or has another data id; EFBIG.
    public func extend(
        _ inode: InodeID, _ data: DataID, by count: Int
    ) throws(Errno) -> UInt64 {
        try awaitPermissionToWrite()
        for _ in 0..<Rounds.decisions {
            var entry = try knownEntry(inode, data)
            if entry.hasStaleTail {
                try clearTail(of: inode, data, isForced: entry.extenderCrashed)
                entry = try knownEntry(inode, data)
            }
            guard entry.size <= Self.largestSum - UInt64(count) else { throw .fileTooLarge }
            let key = schema.inode(inode)
            let outcome = try commit(
                [
                    .fieldEquals(
                        key: key, field: Field.data, value: Bytes(decimal: data.rawValue)),
                    entry.tail.condition(key),
                ],
                [
                    .increment(key: key, field: Field.size, by: Int64(count)),
                    publish([.attributes(inode)]),
                ])
            if case .committed(let sums) = outcome, let sum = sums.first, sum >= count {
                let size = UInt64(sum)
                known.update(inode) { $0.size = max($0.size, size) }
                return size - UInt64(count)
            }
            known.forget(inode)
        }
        throw tooManyRounds("append")
    }
}
