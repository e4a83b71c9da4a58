// Module Cache: keeps blocks of files in memory, collects what programs write until it is stored, and
// decides what leaves, what is stored next and what is fetched ahead.
//
// It is memory and policy only: it never sees Redis, a frame, a codec or an inode's attributes. It reaches
// the store through `BlockSource` (reading) and through the caller of `takeDirty`/`finishFlush` (writing).
//
// Invariants
//  1. A dirty byte leaves the cache only through a flush that succeeded, or through `truncate`/`discard`.
//  2. A block that is dirty, taken by a flush, pinned or being loaded is never evicted.
//  3. What a load brought is installed only if nobody forgot the block meanwhile (the entry still carries the
//     load's own ticket), and only at positions that were not known.
//  4. Memory that a flush reads (a frozen slot) does not change: a writer moves the block to another slot.
//  5. Memory that a reader has pinned stays readable until it is unpinned, whatever becomes of the block.
//  6. `dirtyBytes` is the exact sum of dirty and taken bytes of all blocks.
//  7. One flush, truncation or discarding of an owner at a time (the *flush right*).
//  8. Block memory is at most the capacity plus `CacheSettings.reserveBytes`; holes take none.
//
// Locks, outermost first: [the caller's inode stripe], flush right of an owner (held over a store trip, by
// at most one thread), `room`, `Flusher.state`, a shard (never two), a part of the owner table,
// the pool. No trip to the store is made under a shard's lock, and nothing waits there.

public import Primitives

/// How large the cache is and when it flushes.
public struct CacheSettings: Sendable {
    public var blockSize: BlockSize
    /// Memory for blocks. At least `minimumBlocks` blocks are provided, whatever this says.
    public var capacityBytes: Int
    /// What the capacity may be cut to when the process would take more memory than it should
    /// (`BlockCache.keepMemory`).
    public var leastCapacityBytes: Int
    /// Memory beside that for blocks that a request cannot do without while all others are dirty or
    /// pinned.
    public var reserveBytes: Int
    /// At this many dirty bytes writers wait. Dirty blocks also never occupy more than three quarters
    /// of the least capacity.
    public var dirtyLimitBytes: Int
    /// Dirty data is flushed when it has become this old.
    public var dirtyAgeMilliseconds: Int
    /// A power of two; reduced for a cache of few blocks, so that each shard has some to choose from.
    public var shardCount: Int
    /// How long anything here waits for memory or for another thread's flush before it gives up with EIO.
    public var waitLimitMilliseconds: Int

    /// The least a cache can do with.
    public static let minimumBlocks = 8
    static let blocksPerShard = 8
    /// Every worker can hold a request of 1 MiB, and a flush what it has taken.
    public static let standardReserveBytes = 16 << 20

    public init(
        blockSize: BlockSize, capacityBytes: Int, leastCapacityBytes: Int? = nil,
        reserveBytes: Int = CacheSettings.standardReserveBytes, dirtyLimitBytes: Int,
        dirtyAgeMilliseconds: Int = 5_000, shardCount: Int = 64,
        waitLimitMilliseconds: Int = 30_000
    ) {
        precondition(
            shardCount > 0 && shardCount & (shardCount - 1) == 0,
            "the shard count is a power of two")
        precondition(
            capacityBytes >= 0 && reserveBytes >= 0 && dirtyLimitBytes > 0, "sizes are positive")
        precondition(
            dirtyAgeMilliseconds >= 0 && waitLimitMilliseconds > 0, "periods are positive")
        self.blockSize = blockSize
        self.capacityBytes = capacityBytes
        self.leastCapacityBytes = min(leastCapacityBytes ?? capacityBytes, capacityBytes)
        self.reserveBytes = reserveBytes
        self.dirtyLimitBytes = dirtyLimitBytes
        self.dirtyAgeMilliseconds = dirtyAgeMilliseconds
        self.shardCount = shardCount
        self.waitLimitMilliseconds = waitLimitMilliseconds
    }

    /// How many blocks of memory there are for caching.
    var blockCount: Int { max(Self.minimumBlocks, capacityBytes / blockSize.bytes) }

    /// How many there always are.
    var leastBlockCount: Int { max(Self.minimumBlocks, leastCapacityBytes / blockSize.bytes) }

    /// How many there are beside them.
    var reserveCount: Int { max(1, reserveBytes / blockSize.bytes) }

    /// The shards that are made: the largest power of two that leaves each enough blocks.
    var effectiveShardCount: Int {
        var count = shardCount
        while count > 1, blockCount / count < Self.blocksPerShard { count /= 2 }
        return count
    }
}
