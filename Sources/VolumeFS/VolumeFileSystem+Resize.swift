import Cache
import FileSystem
import Primitives
import VolumeStore

extension VolumeFileSystem {
    /// Gives a file another size (ftruncate(2)): one batch, after a flush of what was written.
    func resize(_ state: InodeState, to size: UInt64, clearing: PrivilegeClearing) throws(Errno) {
        switch state.record.kind {
        case .regular: break
        case .directory: throw .isDirectory
        case .symbolicLink, .fifo, .socket, .characterDevice, .blockDevice: throw .invalid
        }
        guard size <= FileOffset.maximum.bytes else { throw .fileTooLarge }
        if !state.withFacts({ $0.isBeingCopied }) { try dropCapability(of: state) }
        try stripes.withExclusive(state.id) { () throws(Errno) in
            try flushStripes.withExclusive(state.id) { () throws(Errno) in
                try resizeHoldingStripes(state, to: size, clearing: clearing)
            }
        }
    }

    /// The same for a caller that holds both of the inode's stripes exclusively.
    func resizeHoldingStripes(
        _ state: InodeState, to size: UInt64, clearing: PrivilegeClearing
    ) throws(Errno) {
        // What stays of the file must be in the store before a size says that it is there. Nothing
        // stays of a file that is cut to zero.
        if size > 0 { try flushHoldingStripe(state) }
        let (before, mayHoldCutBlocks) = state.withFacts { ($0.record, $0.mayHoldCutBlocks) }
        let permissions = clearing.newPermissions(of: before)
        let time = Timestamp.now
        let after = try store.truncate(before, to: size, time: time, permissions: permissions)
        generations.bump(state.id)
        state.withCommitted { facts in
            facts.pending.size = nil
            facts.pending.modificationTime = nil
            facts.pending.changeTime = nil
            if permissions != nil { facts.pending.permissions = nil }
            var record = after
            record.accessTime = max(record.accessTime, facts.record.accessTime)
            if record.data != facts.record.data {
                facts.writtenBlocks = 0
                facts.storedBound = 0
            }
            if size < before.size || after.data != before.data {
                facts.preallocation?.cut(
                    to: size, blockCount: blockSize.blockCount(forSize: size))
            }
            facts.record = record
            facts.mayHoldCutBlocks = size > 0 && size < before.size
            facts.kernelMayHoldEnd = true
        }
        if after.data != before.data {
            cache.discard(
                before.data, owner: state.id, blockCount: before.allocatedBlocks)
        } else if size < before.size || before.hasStaleTail || mayHoldCutBlocks {
            forgetTail(of: before, from: min(size, before.size))
        }
    }

    /// Forgets what is cached of a file from `size` on. Also when a stale tail was cleared: what was
    /// loaded before that may show what was cut off. The caller holds both stripes.
    func forgetTail(of record: InodeRecord, from size: UInt64) {
        cache.truncate(
            record.data, owner: record.id, to: blockSize.block(containing: FileOffset(size)),
            keeping: blockSize.position(of: FileOffset(size)),
            blockCount: max(
                record.allocatedBlocks, blockSize.blockCount(forSize: record.size)))
    }
}
