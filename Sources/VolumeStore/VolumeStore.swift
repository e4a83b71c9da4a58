// A volume as it is stored: every key, record and block frame, and the batch of each operation.
//
// This module decides what an operation means (POSIX semantics of names, links, sizes) and writes it as
// conditional batches over `KeyValueStore`. It knows neither Redis nor FUSE, holds no file data between
// calls, and caches only what a condition of its batches checks again. docs/FORMAT.md says every key,
// field and byte.
//
// Invariants:
//  1. Each operation on names is one batch: it happens whole or not at all, and exactly once.
//  2. A block is stored only below the inode's `l` (alloc), which is raised before; so whatever a crash
//     leaves is found again by data id and `l`.
//  3. Bytes behind a file's size become visible only after they were cleared: `j` (see `TailState`) is
//     odd while they may be stale, and every batch behind stored blocks is conditioned on it.
//  4. Blocks are dropped only after no record names them: the garbage list is written in the batch that
//     removes the last reference, before the first block goes.
//  5. Nothing stored is believed: records, entries, frames and messages are parsed strictly.

import FileSystem
import Glibc
public import KeyValue
public import Logging
import Primitives
import Synchronization
public import Telemetry

/// One mount's view of one volume. All calls may come from any thread at the same time; operations on
/// the data of one inode are serialized by the caller (its inode stripe).
public final class VolumeStore: Sendable {
    public let settings: VolumeSettings
    public let isReadOnly: Bool
    /// Whether other processes can reach the volume.
    public var isShared: Bool { store.isShared }

    let store: any KeyValueStore
    let schema: Schema
    let metrics: Metrics
    let logger: Logger
    let slots: BatchSlots
    let identifiers: IdentifierSupply
    let known = KnownInodes()
    let scratch: ScratchPool
    /// Compress the blocks of one flush together.
    let packers: ParallelLoop
    let membership: Membership
    let reaper: ReaperQueue
    let hearing = Monitor(Hearing())
    let history = Locked(History())
    let hearsNow = Atomic(false)
    let locks = Locked(LockBook())
    /// One change of an inode's locks at a time; may be held over a trip, and nothing else with it.
    let lockStripes = StripedLocks(count: 256)
    /// Held exclusively, over store trips, by whoever cuts a file or clears what lies behind its end: a
    /// clearing of this session must not meet another size. Rank: below the caller's inode and flush
    /// stripes.
    let tailStripes = StripedLocks(count: 64)
    let life = Monitor(Life())

    /// As many as there are processors, up to some.
    private static let packingThreads = max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    /// Registers the session, unless `isReadOnly`; takes no threads yet.
    public init(
        store: any KeyValueStore, settings: VolumeSettings, session: SessionDescription,
        isReadOnly: Bool, metrics: Metrics, logger: Logger
    ) throws(VolumeError) {
        self.store = store
        self.settings = settings
        self.isReadOnly = isReadOnly
        self.metrics = metrics
        var logger = logger
        logger[metadataKey: "volume"] = "\(settings.name)"
        self.logger = logger
        schema = Schema(settings.name)
        slots = BatchSlots()
        identifiers = IdentifierSupply()
        scratch = ScratchPool(bufferBytes: settings.blockSize.bytes)
        packers = ParallelLoop(name: "apusfs-pack", width: Self.packingThreads)
        membership = Membership(description: session)
        reaper = ReaperQueue()
        if !isReadOnly {
            do throws(StoreError) {
                try register()
            } catch {
                throw VolumeError.store(error)
            }
        }
    }
}
