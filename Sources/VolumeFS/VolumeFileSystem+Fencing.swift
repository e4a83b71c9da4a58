import Cache
import Logging
import Primitives
import VolumeStore

// What becomes of this mount when its session is gone: others took it for dead.
extension VolumeFileSystem {
    /// The session is gone, and others may have gone on without this mount: what was not stored is given
    /// up, and whoever has the file open is told once (EIO of write, fsync or close). So is whoever has a file
    /// open of which programs held locks: others may have them by now.
    func giveUpWhatWasNotStored(locked: [InodeID]) {
        for inode in locked { inodes.state(of: inode)?.withFacts { $0.losses += 1 } }
        for state in inodes.snapshot() where state.withFacts({ $0.isDirty }) {
            flushStripes.withExclusive(state.id) {
                let (record, hasLost) = state.withFacts { facts in
                    defer {
                        facts.pending = PendingAttributes()
                        facts.isDirty = false
                        facts.isFresh = false
                    }
                    let hasLost =
                        facts.pending.size != nil || facts.pending.modificationTime != nil
                    if hasLost { facts.losses += 1 }
                    return (facts.record, hasLost)
                }
                cache.discard(record.data, owner: state.id, blockCount: record.allocatedBlocks)
                guard hasLost else { return }
                logger.error(
                    "what was written was not stored before the session ended, and is lost",
                    metadata: ["inode": "\(state.id)"])
            }
        }
    }

    /// A new session is registered: what is open here without a name is claimed again.
    func reclaimOrphans() {
        for state in inodes.snapshot()
        where state.withFacts({ $0.isOrphan && $0.openCount > 0 && !$0.isRemoved }) {
            claim(state)
        }
    }

    /// Throws EIO once for each open file whose data was given up.
    func reportLosses(of file: OpenFile) throws(Errno) {
        let losses = file.state.withFacts { $0.losses }
        let isNews = file.toldLosses.withLock { told in
            defer { told = losses }
            return told != losses
        }
        if isNews { throw .ioError }
    }
}
