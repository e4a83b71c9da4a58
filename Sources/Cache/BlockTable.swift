import Primitives

/// The blocks of one shard by their address: open addressing with linear probing in raw memory, at most
/// half full. Owned and guarded by the shard.
struct BlockTable {
    typealias Entry = UnsafeMutablePointer<BlockEntry>

    private struct Bucket {
        var hash: UInt64
        var entry: Entry?
    }

    // SAFETY: `capacity` initialized buckets; replaced by `grow`, freed by `destroy`. Entries are allocated
    // by `insert` and freed by `remove` or `destroy`; the shard keeps no pointer to a removed one.
    private var buckets: UnsafeMutablePointer<Bucket>
    private var capacity: Int
    private(set) var count = 0

    init() {
        capacity = 16
        buckets = Self.makeBuckets(capacity)
    }

    mutating func destroy() {
        for index in 0..<capacity {
            guard let entry = buckets[index].entry else { continue }
            entry.deinitialize(count: 1)
            entry.deallocate()
        }
        buckets.deallocate()
    }

    func find(_ address: BlockAddress, hash: UInt64) -> Entry? {
        var index = home(of: hash)
        while let entry = buckets[index].entry {
            if buckets[index].hash == hash, entry.pointee.address == address { return entry }
            index = (index + 1) & (capacity - 1)
        }
        return nil
    }

    /// Adds a block that is not there yet.
    mutating func insert(_ block: BlockEntry) -> Entry {
        if (count + 1) * 2 > capacity { grow() }
        let entry = Entry.allocate(capacity: 1)
        entry.initialize(to: block)
        place(Bucket(hash: block.address.mixed, entry: entry))
        count += 1
        return entry
    }

    mutating func remove(_ entry: Entry) {
        var index = home(of: entry.pointee.address.mixed)
        while buckets[index].entry != entry {
            precondition(
                buckets[index].entry != nil, "only a block that is in the table is removed")
            index = (index + 1) & (capacity - 1)
        }
        closeGap(at: index)
        count -= 1
        entry.deinitialize(count: 1)
        entry.deallocate()
    }

    /// All blocks that `matches` says yes to. The table may be changed while the answer is gone through.
    func entries(where matches: (Entry) -> Bool) -> [Entry] {
        var found: [Entry] = []
        for index in 0..<capacity {
            if let entry = buckets[index].entry, matches(entry) { found.append(entry) }
        }
        return found
    }

    /// Moves later buckets of the same run forward, so that no probe ends too early.
    private mutating func closeGap(at start: Int) {
        var gap = start
        var index = start
        while true {
            index = (index + 1) & (capacity - 1)
            guard buckets[index].entry != nil else { break }
            let distanceFromHome = (index - home(of: buckets[index].hash)) & (capacity - 1)
            let distanceFromGap = (index - gap) & (capacity - 1)
            if distanceFromHome >= distanceFromGap {
                buckets[gap] = buckets[index]
                gap = index
            }
        }
        buckets[gap] = Bucket(hash: 0, entry: nil)
    }

    private mutating func grow() {
        let old = buckets
        let oldCapacity = capacity
        capacity *= 2
        buckets = Self.makeBuckets(capacity)
        for index in 0..<oldCapacity where old[index].entry != nil { place(old[index]) }
        old.deallocate()
    }

    private func place(_ bucket: Bucket) {
        var index = home(of: bucket.hash)
        while buckets[index].entry != nil { index = (index + 1) & (capacity - 1) }
        buckets[index] = bucket
    }

    /// The low bits of the hash chose the shard.
    private func home(of hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 20) & (capacity - 1)
    }

    private static func makeBuckets(_ count: Int) -> UnsafeMutablePointer<Bucket> {
        let buckets = UnsafeMutablePointer<Bucket>.allocate(capacity: count)
        buckets.initialize(repeating: Bucket(hash: 0, entry: nil), count: count)
        return buckets
    }
}
