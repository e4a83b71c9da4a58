import FileSystem
import Primitives

/// Names that this mount has seen: directory and name to inode. Bounded; looking one up makes no heap
/// allocation.
///
/// An entry stands under a 64-bit hash of directory and name; two that share a hash displace each
/// other, and the name is compared at each look.
final class EntryCache: Sendable {
    private static let shardCount = 64

    private struct Entry {
        let parent: InodeID
        let name: [UInt8]
        let inode: InodeID
    }

    private final class Shard: Sendable {
        let entries = Locked<[UInt64: Entry]>([:])
    }

    private let shards: [Shard]
    private let entriesPerShard: Int
    private let seed = UInt64.random(in: .min ... .max)

    init(limit: Int) {
        shards = (0..<Self.shardCount).map { _ in Shard() }
        entriesPerShard = max(8, limit / Self.shardCount)
    }

    func inode(parent: InodeID, name: UnsafeRawBufferPointer) -> InodeID? {
        let hash = hash(parent, name)
        return shard(hash).entries.withLock { entries in
            guard let entry = entries[hash], entry.parent == parent,
                entry.name.elementsEqual(name)
            else { return nil }
            return entry.inode
        }
    }

    func inode(parent: InodeID, name: [UInt8]) -> InodeID? {
        name.withUnsafeBytes { inode(parent: parent, name: $0) }
    }

    /// What was fetched. `isCurrent` is asked under the lock: whether nothing changed since then.
    func insert(parent: InodeID, name: [UInt8], inode: InodeID, isCurrent: () -> Bool) {
        set(parent, name, inode, isCurrent) { _ in }
    }

    /// What was changed: the entry before is out of date, and the new one as well unless `isCurrent`.
    func replace(parent: InodeID, name: [UInt8], inode: InodeID, isCurrent: () -> Bool) {
        set(parent, name, inode, isCurrent) { $0 = nil }
    }

    private func set(
        _ parent: InodeID, _ name: [UInt8], _ inode: InodeID, _ isCurrent: () -> Bool,
        otherwise: (inout Entry?) -> Void
    ) {
        let hash = name.withUnsafeBytes { self.hash(parent, $0) }
        shard(hash).entries.withLock { entries in
            guard isCurrent() else { return otherwise(&entries[hash]) }
            if entries.count >= entriesPerShard, entries[hash] == nil {
                // The order of a dictionary is as good as random. An array, since removing while the
                // keys are walked would copy the dictionary.
                for key in Array(entries.keys.prefix(max(1, entries.count / 8))) {
                    entries[key] = nil
                }
            }
            entries[hash] = Entry(parent: parent, name: name, inode: inode)
        }
    }

    func remove(parent: InodeID, name: [UInt8]) {
        let hash = name.withUnsafeBytes { self.hash(parent, $0) }
        shard(hash).entries.withLock { $0[hash] = nil }
    }

    func removeAll() {
        for shard in shards { shard.entries.withLock { $0.removeAll() } }
    }

    private func shard(_ hash: UInt64) -> Shard {
        shards[Int(truncatingIfNeeded: hash >> 58)]
    }

    /// Words of eight bytes, each mixed in by a multiplication (the scheme of wyhash, cut down).
    func hash(_ parent: InodeID, _ name: UnsafeRawBufferPointer) -> UInt64 {
        var state = Self.mix(seed ^ parent.rawValue, 0x9E37_79B9_7F4A_7C15)
        var offset = 0
        while offset + 8 <= name.count {
            let word = name.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            state = Self.mix(state ^ word, 0xA076_1D64_78BD_642F)
            offset += 8
        }
        var rest = UInt64(name.count) << 56
        while offset < name.count {
            rest = rest << 8 ^ UInt64(name[offset])
            offset += 1
        }
        return Self.mix(state ^ rest, 0xE703_7ED1_A0B4_28DB)
    }

    private static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}
