import Cache
import FileSystem
import Logging
import Primitives
import VolumeStore

/// What was stored in the last seconds: what a store that comes back without its latest changes may have
/// lost. While the store is away nothing cached is believed; copies of these blocks are held until it is known
/// whether it still has them.
final class RecentFlushes: Sendable {
    private struct Flush {
        var instant: Deadline
        var inode: InodeID
        var blocks: [BlockAddress]
    }

    struct Held {
        var inode: InodeID
        var block: BlockAddress
        var offset: Int
        var bytes: [UInt8]
    }

    private struct State {
        var flushes: [Flush] = []
        var held: [Held] = []
        var heldBytes = 0
    }

    /// `appendfsync everysec` may lose two seconds; a failover to a replica mostly less.
    private static let keptMilliseconds = 5_000
    /// Of the latest flushes at most so many are remembered.
    private static let maximumCount = 4_096
    private static let maximumHeldBytes = 32 << 20

    /// Rank: above the shards of the cache.
    private let state = Locked(State())

    func note(_ inode: InodeID, _ blocks: [BlockAddress]) {
        guard !blocks.isEmpty else { return }
        let flush = Flush(instant: .now, inode: inode, blocks: blocks)
        state.withLock { state in
            // Half at a time, so that a note costs little on average.
            if state.flushes.count >= Self.maximumCount {
                state.flushes.removeFirst(Self.maximumCount / 2)
            }
            state.flushes.append(flush)
        }
    }

    /// The cache is about to forget what it has: copies the latest blocks, newest first.
    func hold(from cache: BlockCache) {
        let oldest = Deadline.now.advanced(byMilliseconds: -Self.keptMilliseconds)
        state.withLock { state in
            for flush in state.flushes.reversed() where flush.instant >= oldest {
                for block in flush.blocks where state.heldBytes < Self.maximumHeldBytes {
                    guard let copy = cache.copyOfClean(block) else { continue }
                    state.heldBytes += copy.bytes.count
                    state.held.append(
                        Held(
                            inode: flush.inode, block: block, offset: copy.offset,
                            bytes: copy.bytes))
                }
            }
            state.flushes = []
        }
    }

    /// Takes what is held.
    func take() -> [Held] {
        state.withLock { state in
            guard !state.held.isEmpty else { return [] }
            defer {
                state.held = []
                state.heldBytes = 0
            }
            return state.held
        }
    }
}

extension VolumeFileSystem {
    /// The store answers again. If it has lost what it had acknowledged last, what is held of that is written
    /// again, and the flusher stores it; what programs have written meanwhile is newer and stays.
    func storeReturned(hasLost: Bool) {
        let held = recentFlushes.take()
        guard hasLost else { return }
        var count = 0
        for block in held {
            guard let state = inodes.state(of: block.inode), state.record.data == block.block.data
            else { continue }
            do throws(Errno) {
                try writeAgain(block, state)
                count += 1
            } catch {
                logger.error(
                    "what the store has lost cannot be stored again",
                    metadata: ["inode": "\(block.inode)", "error": "\(error)"])
            }
        }
        logger.notice("stores again what the store has lost", metadata: ["blocks": "\(count)"])
    }

    private func writeAgain(_ block: RecentFlushes.Held, _ state: InodeState) throws(Errno) {
        var failure: Errno?
        block.bytes.withUnsafeBytes { bytes in
            do throws(Errno) {
                try cache.writeIfClean(
                    block.block, owner: state.id, at: block.offset, bytes: bytes)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        state.withFacts { facts in
            facts.pending.size = max(facts.pending.size ?? 0, facts.record.size)
            facts.pending.modificationTime = facts.record.modificationTime
            facts.pending.changeTime = facts.record.changeTime
            facts.noteWritten()
        }
    }
}
