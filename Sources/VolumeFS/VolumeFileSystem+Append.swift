import Cache
import FileSystem
import Primitives
import VolumeStore

// O_APPEND. Alone, the end of the file is known here; otherwise the store says where the bytes go and takes
// them in the same batch, so that those of two mounts never meet, and a cut by another mount comes before
// or behind them, never in between.
//
// Files that are opened so while others share the volume are written directly, past the kernel's pages: the
// kernel would keep the bytes where it believes the end to be, and it divides a write by pages when it does not
// have the first of them, so that bytes of another mount could come between the parts. While the mount is
// alone, programs that read beside the one that appends are served best by way of pages.
extension VolumeFileSystem {
    /// Other changes of the file's data may come first; after this many the last word stands.
    private static let rounds = 8

    /// `believedEnd` is where the kernel thinks the end to be.
    func append(
        _ payload: UnsafeRawBufferPointer, to file: OpenFile, believedEnd: FileOffset,
        clearing: PrivilegeClearing
    ) throws(Errno) -> Int {
        let state = file.state
        let isDirect = file.isDirect
        let append = try store.whileAlone { isAlone throws(Errno) -> Append in
            try stripes.withExclusive(state.id) { () throws(Errno) -> Append in
                var append = state.withFacts { facts in
                    Append(
                        believedEnd: believedEnd.bytes, oldEnd: facts.record.size,
                        mayBeHeld: isDirect && facts.kernelMayHoldEnd)
                }
                if isAlone {
                    append.start = append.oldEnd
                    guard append.start <= FileOffset.maximum.bytes - UInt64(payload.count) else {
                        throw .fileTooLarge
                    }
                    append.count = try write(
                        payload, to: state, at: FileOffset(append.start), clearing: clearing,
                        isDirect: isDirect)
                } else {
                    append.start = try appendInStore(payload, to: state, clearing)
                    append.count = payload.count
                }
                append.lastByte = append.count > 0 ? payload[append.count - 1] : nil
                state.withFacts { $0.kernelMayHoldEnd = !isDirect }
                return append
            }
        }
        tellOfAppend(file, append)
        if !isDirect { dropOlderPages(of: state, behind: append.start..<append.end) }
        return append.count
    }

    /// What the kernel may have to hear of an append.
    struct Append {
        /// Where the kernel believed the file to end.
        var believedEnd: UInt64
        /// Where it ended, as was known here.
        var oldEnd: UInt64
        /// The kernel may hold the page of that.
        var mayBeHeld: Bool
        /// Where the bytes went.
        var start: UInt64 = 0
        var count = 0
        var lastByte: UInt8?

        var end: UInt64 { start + UInt64(count) }
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
                // From the end that was known here: others may have appended since.
                let end = blockSize.block(containing: FileOffset(before.size)).rawValue
                let first = min(end, outcome.blocks.lowerBound)
                cache.invalidate(before.data, blocks: first..<outcome.blocks.upperBound)
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
