public import Primitives
import Synchronization
public import Telemetry

/// The block cache of one mounted volume. See Cache.swift for its invariants and lock ranks.
///
/// The source is held strongly. Whoever calls `startFlusher`, `keepMemory` or `prefetch` calls `stop` before
/// letting go.
public final class BlockCache: @unchecked Sendable {
    /// What those wait for who need memory, or fewer dirty bytes.
    struct Room {
        /// Counts whenever there may be more of either, or `refusal` changed.
        var changes: UInt64 = 0
        /// The store has no room for what is dirty: so said the last flush that ended. Waiting does not
        /// help then.
        var refusal: Errno?
    }

    /// How often a read plans anew because what it loaded was forgotten meanwhile.
    static let planLimit = 64

    let settings: CacheSettings
    let source: any BlockSource
    let metrics: Metrics
    let pool: BlockPool
    let owners = OwnerTable()
    let pressure: DirtyPressure
    let flusher: Flusher
    /// Runs readahead beside the readers; what comes late is of no use.
    let prefetcher = BackgroundQueue(name: "prefetch", threadCount: 2, limit: 64)
    let governor = MemoryGovernor()
    let room = Monitor(Room())
    /// Threads that wait for memory; while there are none, unpinning tells nobody.
    let memoryWaiters = Atomic<Int>(0)

    // SAFETY: allocated in init, freed in deinit; each shard guards itself.
    private let shards: UnsafeMutablePointer<Locked<CacheShard>>
    let shardCount: Int

    public init(settings: CacheSettings, source: any BlockSource, metrics: Metrics) {
        self.settings = settings
        self.source = source
        self.metrics = metrics
        let pool = BlockPool(
            blockBytes: settings.blockSize.bytes, capacity: settings.blockCount,
            reserveCount: settings.reserveCount)
        self.pool = pool
        pressure = DirtyPressure(settings: settings)
        flusher = Flusher(
            owners: owners, pressure: pressure, ageMilliseconds: settings.dirtyAgeMilliseconds)
        shardCount = settings.effectiveShardCount
        shards = .allocate(capacity: shardCount)
        for index in 0..<shardCount {
            (shards + index).initialize(
                to: Locked(
                    CacheShard(
                        index: index, pool: pool, owners: owners,
                        nominalCount: settings.blockCount / shardCount)))
        }
    }

    deinit {
        for index in 0..<shardCount { shards[index].withLock { $0.destroy() } }
        shards.deinitialize(count: shardCount)
        shards.deallocate()
    }

    /// Runs `body` under the lock of the shard that holds `address`.
    func withShard<Result, Failure: Error>(
        of hash: UInt64, _ body: (inout CacheShard) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try shards[Int(truncatingIfNeeded: hash) & (shardCount - 1)].withLock(body)
    }

    func withShard<Result, Failure: Error>(
        at index: Int, _ body: (inout CacheShard) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try shards[index].withLock(body)
    }

    var waitDeadline: Deadline { .after(milliseconds: settings.waitLimitMilliseconds) }

    // MARK: Memory

    /// A slot: a free one, else that of a clean block of this shard or another. `nil` when all blocks are
    /// dirty, pinned or being loaded (with `beyondCapacity`: and the reserve is used up).
    func takeSlot(near hash: UInt64, beyondCapacity: Bool) -> BlockPool.Slot? {
        if let slot = pool.take() { return slot }
        let first = Int(truncatingIfNeeded: hash) & (shardCount - 1)
        for distance in 0..<shardCount {
            let index = (first + distance) & (shardCount - 1)
            if let slot = withShard(at: index, { $0.evict() }) {
                metrics.add(.cacheEvictions)
                return slot
            }
        }
        return beyondCapacity ? pool.take(beyondCapacity: true) : nil
    }

    /// The same, waiting for memory; EIO when there is none for too long.
    func obtainSlot(near hash: UInt64) throws(Errno) -> BlockPool.Slot {
        if let slot = takeSlot(near: hash, beyondCapacity: true) { return slot }
        let deadline = waitDeadline
        memoryWaiters.add(1, ordering: .sequentiallyConsistent)
        defer { memoryWaiters.subtract(1, ordering: .sequentiallyConsistent) }
        while true {
            let seen = room.withLock { $0.changes }
            if let slot = takeSlot(near: hash, beyondCapacity: true) { return slot }
            flusher.wake()
            let changed: Bool? = room.wait(until: deadline) { $0.changes == seen ? nil : true }
            if changed == nil { throw .ioError }
        }
    }

    /// Gives a slot back that was not used.
    func giveBack(_ slot: BlockPool.Slot) {
        if slot == BlockPool.none { return }
        pool.give(slot)
        announceMemory()
    }

    /// Wakes threads that wait for memory. Not under a shard's lock.
    func announceMemory() {
        if memoryWaiters.load(ordering: .sequentiallyConsistent) > 0 { announceRoom() }
    }

    /// Wakes threads that wait for memory or for fewer dirty bytes. Not under a shard's lock.
    func announceRoom() { room.change { $0.changes &+= 1 } }

    // MARK: Capacity

    /// Lets the cache give way to what else the process needs: looks from time to time, on a thread of its
    /// own that `stop` ends, how much memory the process takes, and holds fewer blocks (down to
    /// `CacheSettings.leastCapacityBytes`) or more again, so that it takes at most `limitBytes`.
    ///
    /// `residentBytes` says what the process takes, or `nil` when that cannot be known.
    public func keepMemory(
        within limitBytes: Int, residentBytes: @escaping @Sendable () -> Int?
    ) {
        let rule = CapacityRule(
            limitBytes: limitBytes, blockBytes: settings.blockSize.bytes,
            reserveBlocks: settings.reserveCount,
            blocks: settings.leastBlockCount...settings.blockCount)
        governor.start { [self] in
            guard let resident = residentBytes() else { return false }
            let blocks = rule.capacity(residentBytes: resident, poolBlocks: pool.residentCount)
            if blocks != pool.capacity || pool.residentCount > blocks { setCapacity(blocks) }
            return rule.isNear(residentBytes: resident)
        }
    }

    /// Clean blocks leave as far as there are more than `blocks`; others leave when they can.
    func setCapacity(_ blocks: Int) {
        pool.capacity = blocks
        var index = 0
        var unyielding = 0
        while pool.isBeyondCapacity, unyielding < shardCount {
            if let slot = withShard(at: index, { $0.evict() }) {
                metrics.add(.cacheEvictions)
                pool.give(slot)
                unyielding = 0
            } else {
                unyielding += 1
            }
            index = (index + 1) & (shardCount - 1)
        }
        pool.releaseSurplus()
        // More blocks, or slots that were on their way to the system a moment ago.
        announceMemory()
    }

    // MARK: Figures

    /// Bytes that the store does not have yet, those of a flush in flight included.
    public var dirtyBytes: Int { owners.dirtyBytes }

    /// The same of one inode.
    public func dirtyBytes(of owner: InodeID) -> Int { owners.dirtyBytes(of: owner) }

    /// How many blocks of one inode hold bytes that the store does not have yet.
    public func dirtyBlockCount(of owner: InodeID) -> Int { owners.dirtyBlockCount(of: owner) }

    /// The indexes of those blocks, ascending.
    public func dirtyBlockIndexes(of owner: InodeID) -> [UInt64] {
        owners.dirtyBlocks(of: owner).map(\.index.rawValue).sorted()
    }

    /// Block memory in use.
    public var usedBytes: Int { pool.usedCount * settings.blockSize.bytes }

    /// Block memory that is there at most at this moment, apart from the reserve.
    public var capacityBytes: Int { pool.capacity * settings.blockSize.bytes }
}
