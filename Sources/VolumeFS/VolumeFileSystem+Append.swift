import Cache
import FileSystem
import Primitives
import VolumeStore

// O_APPEND. Alone, the end of the file is known here; otherwise the store says where the bytes go and takes
// them in the same batch, so that those of two mounts never meet, and a cut by another mount comes before
// or behind them, never in between.
extension VolumeFileSystem {
    /// Other changes of the file's data may come first; after this many the last word stands.
    private static let rounds = 8

    /// `believedEnd` is where the kernel thinks the end to be.
    func append(
        _ payload: UnsafeRawBufferPointer, to state: InodeState, believedEnd: FileOffset,
        clearing: PrivilegeClearing
    ) throws(Errno) -> Int {
        let (start, written) = try store.whileAlone { isAlone throws(Errno) -> (UInt64, Int) in
            try stripes.withExclusive(state.id) { () throws(Errno) -> (UInt64, Int) in
                guard isAlone else {
                    return (try appendInStore(payload, to: state, clearing), payload.count)
                }
                let start = state.record.size
                guard start <= FileOffset.maximum.bytes - UInt64(payload.count) else {
                    throw .fileTooLarge
                }
                let written = try write(
                    payload, to: state, at: FileOffset(start), clearing: clearing)
                return (start, written)
            }
        }
        if start != believedEnd.bytes {
            // The kernel may keep the bytes where it believed them to go, and nothing where they went.
            let first = min(start, believedEnd.bytes)
            let last = max(start, believedEnd.bytes) + UInt64(written)
            tellKernel { $0.invalidateInode(state.id, range: first..<last) }
        }
        return written
    }

    /// Returns where the bytes begin. The caller holds the inode's stripe exclusively.
    private func appendInStore(
        _ payload: UnsafeRawBufferPointer, to state: InodeState, _ clearing: PrivilegeClearing
    ) throws(Errno) -> UInt64 {
        for _ in 0..<Self.rounds {
            // What was written here and makes the file longer has its place before the new bytes.
            if state.withFacts({ $0.pending.size != nil }) { try flush(state) }
            let (before, mayHoldCutBlocks) = state.withFacts { ($0.record, $0.mayHoldCutBlocks) }
            if before.hasXattrs { try dropCapability(of: state) }
            let time = Timestamp.now
            let commit = SizeCommit(
                inode: state.id, data: before.data, modificationTime: time, changeTime: time,
                newPermissions: clearing.newPermissions(of: before))
            do throws(Errno) {
                let outcome = try store.append(payload, then: commit)
                if before.hasStaleTail || mayHoldCutBlocks {
                    flushStripes.withExclusive(state.id) {
                        forgetCutBlocks(of: state, from: before)
                    }
                }
                generations.bump(state.id)
                cache.invalidate(before.data, blocks: outcome.blocks)
                state.withCommitted { $0.noteAppend(of: payload.count, outcome, commit, blockSize) }
                return outcome.start
            } catch {
                guard error == .stale else { throw error }
                // Another mount cut the file to nothing, or it is gone.
                state.withFacts { $0.isFresh = false }
                try refresh(state)
                if state.withFacts({ $0.isRemoved }) { throw .ioError }
            }
        }
        throw .ioError
    }
}

extension InodeState.Facts {
    /// The store has taken bytes behind the end of the file; with what was pending of times and permissions.
    fileprivate mutating func noteAppend(
        of count: Int, _ outcome: AppendOutcome, _ commit: SizeCommit, _ blockSize: BlockSize
    ) {
        let end = outcome.start + UInt64(count)
        record.size = max(record.size, end)
        record.allocatedBlocks = max(record.allocatedBlocks, outcome.allocatedBlocks)
        record.storedBlocks = outcome.storedBlocks
        record.tail = outcome.tail
        record.extenderCrashed = false
        writtenBlocks = max(writtenBlocks, blockSize.blockCount(forSize: end))
        if let time = commit.modificationTime {
            record.modificationTime = time
            record.changeTime = max(record.changeTime, time)
            pending.modificationTime = nil
        }
        if let permissions = commit.newPermissions {
            record.permissions = permissions
            pending.permissions = nil
        }
    }
}
