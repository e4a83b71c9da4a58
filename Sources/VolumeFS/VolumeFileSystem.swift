// The mounted volume: turns the operations of a filesystem into reads and batches of a VolumeStore, with
// the attributes, names and blocks that this mount has seen kept in memory.
//
// It never sees Redis or FUSE. Who calls: FuseServer through `FileSystemOperations`, tests directly.
//
// Invariants:
//  1. An inode whose data or attributes are newer here than in the store has an `InodeState` in the
//     table, so that whoever looks finds the newer ones.
//  2. Every change to what the store holds bumps the inode's generation after the commit and before the
//     state is changed; what was fetched under an older generation is never believed later.
//  3. Nothing is held while a reply is delivered, nor while the kernel is told to drop something.
//  4. Data that could not be stored stays dirty; nothing is dropped silently.
//
// Lock ranks, outermost first: inode stripe (may be held across a store round trip) > flush stripe (may
// be held across one, too) > shard of the inode table > one InodeState > open directory, entry cache,
// shard of the block cache (leaves). `docs/DESIGN.md` has the whole list.

import Cache
public import FileSystem
public import Logging
import Primitives
import Synchronization
public import Telemetry
public import VolumeStore

/// One mounted volume.
public final class VolumeFileSystem: FileSystemOperations {
    let store: VolumeStore
    let options: VolumeOptions
    let metrics: Metrics
    let logger: Logger
    let blockSize: BlockSize
    /// The generation of every inode but the root.
    let volumeGeneration: UInt64
    let cache: BlockCache

    let stripes: StripedLocks
    /// One flush or change of size of an inode at a time; ranks below the inode's stripe.
    let flushStripes: StripedLocks
    let inodes: InodeTable
    let entries: EntryCache
    let generations: Generations
    /// Other mounts' changes of names, by directory.
    let heardNames: Generations
    let files = HandleTable<OpenFile>()
    let directories = HandleTable<OpenDirectory>()
    let lazyTimes = LazyTimes()
    let recentFlushes = RecentFlushes()
    let refusedOpens = RefusedOpens()
    let nameBudget = DirectoryNames.Budget()
    let listingBudget = KeptListing.Budget()
    /// Fetches parts of large directories while others are delivered.
    let listingQueue = BackgroundQueue(name: "listing", threadCount: 2, limit: 64)
    let statistics = Locked<StatisticsSnapshot?>(nil)
    let notifier = Locked<(any KernelNotifier)?>(nil)
    let lostFiles = Atomic<Int>(0)

    /// How many files had changes that `unmounted` could not store: they are lost.
    public var lostFileCount: Int { lostFiles.load(ordering: .relaxed) }

    /// Nothing runs in the background until `mounted` is called.
    public init(
        store: VolumeStore, options: VolumeOptions, metrics: Metrics, logger: Logger
    ) {
        self.store = store
        self.options = options
        self.metrics = metrics
        self.logger = logger
        blockSize = store.settings.blockSize
        volumeGeneration = store.settings.handleGeneration
        cache = BlockCache(
            settings: options.cacheSettings(blockSize: store.settings.blockSize),
            source: VolumeBlockSource(store: store), metrics: metrics)
        stripes = StripedLocks(count: options.stripeCount)
        flushStripes = StripedLocks(count: options.stripeCount)
        inodes = InodeTable(stateLimit: options.inodeStateLimit)
        entries = EntryCache(limit: options.entryLimit)
        generations = Generations(stripes: options.stripeCount)
        heardNames = Generations(stripes: options.stripeCount)
    }

    public func mounted(notifier: any KernelNotifier) {
        self.notifier.withLock { $0 = notifier }
        cache.startFlusher { [weak self] owner in self?.flushInBackground(owner) }
        if let limit = options.memoryLimitBytes {
            cache.keepMemory(within: limit, residentBytes: ResidentMemory.bytes)
        }
        lazyTimes.start(everyMilliseconds: options.flushIntervalMilliseconds) { [weak self] inode in
            self?.flushInBackground(inode)
        }
        store.start(
            VolumeHooks(
                onChange: { [weak self] change in self?.apply(change) },
                beforeSharing: { [weak self] in self?.prepareToShare() },
                onFenced: { [weak self] in self?.giveUpWhatWasNotStored(locked: $0) },
                onRegistered: { [weak self] in self?.reclaimOrphans() },
                onReturn: { [weak self] hasLost in self?.storeReturned(hasLost: hasLost) },
                onTailCleared: { [weak self] data, blocks in
                    self?.cache.invalidate(data, blocks: blocks)
                },
                openFileCount: { [weak self] in self?.files.count ?? 0 }))
    }

    public func unmounted() {
        listingQueue.stop()
        cache.stop()
        flushEverything()
        notifier.withLock { $0 = nil }
        store.close()
    }

    /// Throws EROFS on a read-only mount: the first line of each operation that changes something.
    func requireWritable() throws(Errno) {
        if options.isReadOnly { throw .readOnlyFileSystem }
        try store.awaitPermissionToWrite()
    }

    /// The kernel passes names of up to 1,024 bytes through.
    func checked(_ name: FileName) throws(Errno) -> [UInt8] {
        guard name.bytes.count <= FileName.maximumByteCount else { throw .nameTooLong }
        guard !name.bytes.isEmpty else { throw .noEntry }
        return name.copied
    }
}
