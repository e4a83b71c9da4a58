import Primitives
import Synchronization

/// Which inodes have dirty blocks, how many bytes, since when, and who may flush them.
///
/// The *flush right* of an owner is held by one flush, truncation or discarding at a time, so a holder
/// knows that nothing of the owner is in flight but what it took itself. It is the only thing here that is
/// waited for.
///
/// Rank: these locks are taken while a shard's lock is held, and hold nothing themselves.
final class OwnerTable: @unchecked Sendable {
    struct Owner: Sendable {
        var blocks: Set<BlockAddress> = []
        var dirtyBytes = 0
        /// CLOCK_MONOTONIC nanoseconds; meaningful while there are blocks.
        var oldestDirty: Int64 = 0
        var isFlushRightTaken = false
        /// Blocks that were taken and not finished.
        var blocksInFlight = 0
        /// When everything dirty was taken; what stays dirty after a success is younger.
        var tookAllAt: Int64?
        var hasFailed = false
        /// Counts flushes that stored something.
        var successes: UInt64 = 0
    }

    private static let partCount = 16

    // SAFETY: allocated in init, freed in deinit; each part guards itself.
    private let parts: UnsafeMutablePointer<Monitor<[InodeID: Owner]>>
    private let bytes = Atomic<Int>(0)
    private let blocks = Atomic<Int>(0)

    init() {
        parts = .allocate(capacity: Self.partCount)
        for index in 0..<Self.partCount { (parts + index).initialize(to: Monitor([:])) }
    }

    deinit {
        parts.deinitialize(count: Self.partCount)
        parts.deallocate()
    }

    var dirtyBytes: Int { bytes.load(ordering: .relaxed) }
    /// Each of them occupies a whole block of memory.
    var dirtyBlocks: Int { blocks.load(ordering: .relaxed) }

    func dirtyBytes(of owner: InodeID) -> Int {
        parts[part(of: owner)].withLock { $0[owner]?.dirtyBytes ?? 0 }
    }

    /// How many blocks of the owner are dirty or taken.
    func dirtyBlockCount(of owner: InodeID) -> Int {
        parts[part(of: owner)].withLock { $0[owner]?.blocks.count ?? 0 }
    }

    /// `nil` when nothing of the owner is dirty.
    func successes(of owner: InodeID) -> UInt64? {
        parts[part(of: owner)].withLock { owners in
            guard let record = owners[owner], !record.blocks.isEmpty else { return nil }
            return record.successes
        }
    }

    /// Every owner with dirty blocks, and since when.
    func dirtyOwners() -> [FlushSchedule.Candidate] {
        (0..<Self.partCount).flatMap { index in
            parts[index].withLock { owners in
                owners.compactMap { owner, record in
                    record.blocks.isEmpty
                        ? nil
                        : FlushSchedule.Candidate(owner: owner, oldestDirty: record.oldestDirty)
                }
            }
        }
    }

    // Accounting, under the lock of the block's shard.

    /// `block` became dirty; nothing of it was dirty or taken.
    func blockBecameDirty(_ block: BlockAddress, owner: InodeID) {
        blocks.add(1, ordering: .relaxed)
        parts[part(of: owner)].withLock { owners in
            var record = owners.removeValue(forKey: owner) ?? Owner()
            if record.blocks.isEmpty { record.oldestDirty = Deadline.now.monotonicNanoseconds }
            record.blocks.insert(block)
            owners[owner] = record
        }
    }

    /// Nothing of `block` is dirty or taken any more.
    func blockBecameClean(_ block: BlockAddress, owner: InodeID) {
        blocks.subtract(1, ordering: .relaxed)
        parts[part(of: owner)].withLock { owners in
            owners[owner]?.blocks.remove(block)
            Self.dropIfIdle(owner, &owners)
        }
    }

    /// The number of dirty (or taken) bytes changed.
    func add(_ change: Int, owner: InodeID) {
        if change == 0 { return }
        bytes.add(change, ordering: .relaxed)
        parts[part(of: owner)].withLock { owners in
            precondition(
                owners[owner] != nil, "bytes are counted for owners with dirty blocks only")
            owners[owner]?.dirtyBytes += change
        }
    }

    // The flush right, without a shard's lock.

    /// Waits for the flush right; `false` once the deadline has passed.
    func acquireFlushRight(of owner: InodeID, until deadline: Deadline?) -> Bool {
        parts[part(of: owner)].wait(until: deadline) { owners -> Bool? in
            if owners[owner]?.isFlushRightTaken == true { return nil }
            owners[owner, default: Owner()].isFlushRightTaken = true
            return true
        } ?? false
    }

    /// The blocks of an owner that are dirty or taken: exact for who holds the flush right.
    func dirtyBlocks(of owner: InodeID) -> [BlockAddress] {
        parts[part(of: owner)].withLock { Array($0[owner]?.blocks ?? []) }
    }

    /// The holder of the right took so many blocks; it keeps the right until they are finished.
    func flushBegan(of owner: InodeID, blockCount: Int, tookAllAt: Int64?) {
        parts[part(of: owner)].withLock { owners in
            owners[owner]?.blocksInFlight = blockCount
            owners[owner]?.tookAllAt = tookAllAt
            owners[owner]?.hasFailed = false
        }
    }

    /// So many blocks are finished; with the last one the right is given back.
    func flushEnded(of owner: InodeID, blockCount: Int, succeeded: Bool) {
        parts[part(of: owner)].change { owners in
            guard var record = owners[owner] else {
                preconditionFailure("an owner whose blocks are in flight is in the table")
            }
            precondition(
                record.blocksInFlight >= blockCount, "a taken block is finished once")
            record.blocksInFlight -= blockCount
            if succeeded { record.successes += 1 } else { record.hasFailed = true }
            if record.blocksInFlight == 0 {
                if let instant = record.tookAllAt, !record.hasFailed {
                    record.oldestDirty = instant
                }
                record.isFlushRightTaken = false
            }
            owners[owner] = record
            Self.dropIfIdle(owner, &owners)
        }
    }

    /// Gives the right back when nothing is in flight.
    func releaseFlushRight(of owner: InodeID) {
        parts[part(of: owner)].change { owners in
            owners[owner]?.isFlushRightTaken = false
            Self.dropIfIdle(owner, &owners)
        }
    }

    /// Waits until nobody holds the flush right; `false` once the deadline has passed.
    func waitWhileFlushed(_ owner: InodeID, until deadline: Deadline) -> Bool {
        parts[part(of: owner)].wait(until: deadline) { owners -> Bool? in
            owners[owner]?.isFlushRightTaken == true ? nil : true
        } ?? false
    }

    private static func dropIfIdle(_ owner: InodeID, _ owners: inout [InodeID: Owner]) {
        guard let record = owners[owner], record.blocks.isEmpty, !record.isFlushRightTaken else {
            return
        }
        precondition(record.dirtyBytes == 0, "an owner without dirty blocks has no dirty bytes")
        owners[owner] = nil
    }

    private func part(of owner: InodeID) -> Int {
        Int(truncatingIfNeeded: owner.rawValue) & (Self.partCount - 1)
    }
}
