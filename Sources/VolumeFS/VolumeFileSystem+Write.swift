import Cache
public import FileSystem
public import Primitives
import Telemetry
import VolumeStore

extension VolumeFileSystem {
    public func write(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, options: WriteOptions
    ) throws(Errno) -> Int {
        try requireWritable()
        let file = try files.item(handle)
        guard !payload.isEmpty else { return 0 }
        guard offset < .maximum, UInt64(payload.count) <= FileOffset.maximum.bytes - offset.bytes
        else { throw .fileTooLarge }
        try refresh(file.state)
        try reportLosses(of: file)
        try cache.throttle(incoming: payload.count)
        let clearing = privilegeClearing(
            by: caller, of: file.state, if: options.contains(.clearsPrivileges))
        let written = try telling(ofPrivilegesOf: file.state, clearing) { () throws(Errno) in
            if options.contains(.append) {
                return try append(payload, to: file, believedEnd: offset, clearing: clearing)
            }
            let written = try stripes.withExclusive(inode) { () throws(Errno) -> Int in
                try write(payload, to: file.state, at: offset, clearing: clearing)
            }
            // What comes out of the kernel's own pages is what they hold.
            if !options.contains(.fromPageCache) {
                dropOlderPages(
                    of: file.state, behind: offset.bytes..<offset.bytes + UInt64(written))
            }
            return written
        }
        metrics.add(.writtenBytes, UInt64(written))
        if file.options.contains(.synchronous) { try flush(file.state) }
        return written
    }

    /// Copies the payload into the cache; `isDirect`: the kernel has no page of it. The caller holds the
    /// inode's stripe exclusively.
    func write(
        _ payload: UnsafeRawBufferPointer, to state: InodeState, at offset: FileOffset,
        clearing: PrivilegeClearing, isDirect: Bool = false
    ) throws(Errno) -> Int {
        let end = offset.bytes + UInt64(payload.count)
        let (before, mayHoldCutBlocks) = state.withFacts { ($0.record, $0.mayHoldCutBlocks) }
        if before.hasStaleTail || mayHoldCutBlocks, end > before.size {
            try clearStaleTail(of: state)
        }
        if before.hasXattrs { try dropCapability(of: state) }
        // The size grows before the blocks are dirty: a flush that takes a block then always commits a
        // size that covers it. Nobody reads meanwhile, since this holds the stripe.
        state.withFacts {
            $0.noteWrite(end: end, at: .now, clearing: clearing, isDirect: isDirect)
        }
        defer { state.withFacts { $0.noteWritten() } }
        // Behind this nobody has stored anything, nor is about to.
        let (record, firstAbsent) = state.withFacts { facts in
            defer {
                facts.writtenBlocks = max(
                    facts.writtenBlocks, blockSize.blockCount(forSize: end))
            }
            facts.preallocation?.remove(
                offset.bytes / UInt64(blockSize.bytes)..<blockSize.blockCount(forSize: end))
            return (facts.record, max(facts.storedBound, facts.writtenBlocks))
        }
        var done = 0
        for piece in RequestPlan(offset: offset, count: payload.count, blockSize: blockSize) {
            let bytes = UnsafeRawBufferPointer(
                rebasing: payload[piece.requestOffset..<piece.requestOffset + piece.range.count])
            do throws(Errno) {
                try cache.write(
                    BlockAddress(data: record.data, index: piece.index), owner: state.id,
                    at: piece.range.lowerBound, bytes: bytes,
                    baseIsAbsent: piece.index.rawValue >= firstAbsent)
            } catch {
                undoGrowth(of: state, from: before.size, keeping: offset.bytes + UInt64(done))
                guard done > 0 else { throw error }
                return done
            }
            done += piece.range.count
        }
        return done
    }

    /// A write ended early: the file does not reach as far as it was meant to.
    private func undoGrowth(of state: InodeState, from oldSize: UInt64, keeping end: UInt64) {
        state.withFacts { facts in
            guard facts.record.size > max(oldSize, end) else { return }
            facts.record.size = max(oldSize, end)
            if facts.pending.size != nil { facts.pending.size = facts.record.size }
        }
    }

    /// A shrink of this file has perhaps not cleared all that lay behind its end, in the store or of what is
    /// cached, and the file is about to grow over it. The caller holds the inode's stripe exclusively.
    private func clearStaleTail(of state: InodeState) throws(Errno) {
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            let before = state.record
            let cleared = before.hasStaleTail ? try store.clearStaleTail(of: before) : before
            generations.bump(state.id)
            forgetCutBlocks(of: state, from: before)
            state.withCommitted { facts in
                facts.record.tail = cleared.tail
                facts.record.extenderCrashed = cleared.extenderCrashed
            }
        }
    }

    /// The store has cleared the tail, and the file is about to grow: what was loaded of the tail before
    /// goes. The caller holds both of the inode's stripes.
    func forgetCutBlocks(of state: InodeState, from before: InodeRecord) {
        forgetTail(of: before, from: before.size)
        state.withFacts { $0.mayHoldCutBlocks = false }
    }
}
