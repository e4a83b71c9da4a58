import Cache
public import FileSystem
public import Primitives
import VolumeStore

// copy_file_range(2).
extension VolumeFileSystem {
    /// Copies at most as much as one call may take; fewer bytes than asked for are no error.
    public func copyFileRange(
        _ caller: Caller, from: FileRangeStart, to: FileRangeStart, length: UInt64
    ) throws(Errno) -> UInt64 {
        try requireWritable()
        let source = try files.item(from.handle)
        let target = try files.item(to.handle)
        try refresh(source.state)
        try refresh(target.state)
        let sourceSize = source.state.record.size
        guard from.offset.bytes < sourceSize, length > 0 else { return 0 }
        let count = min(length, sourceSize - from.offset.bytes)
        guard to.offset <= .maximum, count <= FileOffset.maximum.bytes - to.offset.bytes else {
            throw .fileTooLarge
        }
        let done = try store.whileAlone { isAlone throws(Errno) in
            let plan = CopyPlan(
                from: from.offset.bytes, to: to.offset.bytes, count: count,
                takesLastBlock: isAlone && endsBoth(source.state, target.state, from, to, count),
                blockSize: blockSize)
            return try telling(
                ofPrivilegesOf: target.state,
                privilegeClearing(by: caller, of: target.state, if: caller.userID != 0)
            ) { () throws(Errno) in try carryOut(plan, caller, from, to, count: count) }
        }
        if target.options.contains(.synchronous) { try flush(target.state) }
        return done
    }

    private func carryOut(
        _ plan: CopyPlan, _ caller: Caller, _ from: FileRangeStart, _ to: FileRangeStart,
        count: UInt64
    ) throws(Errno) -> UInt64 {
        let source = try files.item(from.handle).state
        let target = try files.item(to.handle).state
        var done: UInt64 = 0
        do throws(Errno) {
            done += try copyThroughCache(caller, from, to, skipping: 0, plan.head)
            guard done == plan.head else { return done }
            if !plan.blocks.isEmpty {
                let bytes = plan.blockBytes(of: count, blockSize: blockSize)
                try copyBlocks(
                    plan, from: source, to: target,
                    end: to.offset.bytes + done + bytes,
                    clearing: privilegeClearing(by: caller, of: target, if: caller.userID != 0))
                done += bytes
            }
            done += try copyThroughCache(caller, from, to, skipping: done, plan.tail)
        } catch {
            // What was copied before the failure counts, as with write(2).
            guard done > 0 else { throw error }
        }
        return done
    }

    /// Whether the range ends both files, and what follows it in the source's last block is known to be
    /// zeros, provided that no other mount can be storing there.
    private func endsBoth(
        _ source: InodeState, _ target: InodeState, _ from: FileRangeStart, _ to: FileRangeStart,
        _ count: UInt64
    ) -> Bool {
        let record = source.record
        return from.offset.bytes + count == record.size
            && to.offset.bytes + count >= target.record.size && source.id != target.id
            && !record.hasStaleTail
    }

    /// Reads and writes, a part at a time. Fewer bytes only when the source became shorter.
    private func copyThroughCache(
        _ caller: Caller, _ from: FileRangeStart, _ to: FileRangeStart, skipping skipped: UInt64,
        _ count: UInt64
    ) throws(Errno) -> UInt64 {
        guard count > 0 else { return 0 }
        let partBytes = 1 << 20
        // SAFETY: freed when this returns; the sink and the write below are lent it meanwhile.
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(partBytes, Int(count)), alignment: 16)
        defer { buffer.deallocate() }
        var done: UInt64 = 0
        while done < count {
            let wanted = min(buffer.count, Int(count - done))
            var filled = 0
            try read(
                caller, inode: from.inode, handle: from.handle,
                offset: FileOffset(from.offset.bytes + skipped + done), count: wanted
            ) { pieces in
                for piece in pieces {
                    UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(
                        from: piece)
                    filled += piece.count
                }
            }
            guard filled > 0 else { break }
            done += UInt64(
                try write(
                    caller, inode: to.inode, handle: to.handle,
                    offset: FileOffset(to.offset.bytes + skipped + done),
                    payload: UnsafeRawBufferPointer(rebasing: buffer[..<filled]),
                    options: caller.userID == 0 ? [] : .clearsPrivileges))
        }
        return done
    }

    /// Whole blocks, inside the store. The target reaches at least to `end` afterwards.
    private func copyBlocks(
        _ plan: CopyPlan, from source: InodeState, to target: InodeState, end: UInt64,
        clearing: PrivilegeClearing
    ) throws(Errno) {
        try flush(source)
        let data = source.record.data
        try stripes.withExclusive(target.id) { () throws(Errno) in
            try dropCapability(of: target)
            try flushStripes.withExclusive(target.id) { () throws(Errno) in
                // What was written before must be in the store before a size says that it is there.
                try flushHoldingStripe(target)
                try copyBlocksHoldingStripes(
                    BlockCopy(source: data, blocks: plan.blocks, firstTarget: plan.firstTarget),
                    to: target, end: end, clearing: clearing)
            }
        }
    }

    private func copyBlocksHoldingStripes(
        _ copy: BlockCopy, to target: InodeState, end: UInt64,
        clearing: PrivilegeClearing
    ) throws(Errno) {
        let (before, mayHoldCutBlocks) = target.withFacts { ($0.record, $0.mayHoldCutBlocks) }
        let targets = copy.firstTarget..<copy.firstTarget + UInt64(copy.blocks.count)
        let time = Timestamp.now
        let commit = SizeCommit(
            inode: target.id, data: before.data, size: end, modificationTime: time,
            changeTime: time,
            newPermissions: clearing.newPermissions(of: before))
        let outcome: BlockStoreOutcome
        do throws(Errno) {
            outcome = try store.copyBlocks(copy, then: commit)
        } catch {
            cache.invalidate(before.data, blocks: targets)
            throw error
        }
        cache.forget(before.data, owner: target.id, blocks: targets)
        if before.hasStaleTail || mayHoldCutBlocks, end > before.size {
            forgetCutBlocks(of: target, from: before)
        }
        generations.bump(target.id)
        target.withCommitted { facts in
            facts.record.size = max(facts.record.size, end)
            facts.record.modificationTime = time
            facts.record.changeTime = max(facts.record.changeTime, time)
            if let permissions = commit.newPermissions { facts.record.permissions = permissions }
            facts.record.allocatedBlocks = max(
                facts.record.allocatedBlocks, outcome.allocatedBlocks)
            facts.record.storedBlocks = outcome.storedBlocks
            facts.storedBound = max(facts.storedBound, targets.upperBound)
            facts.writtenBlocks = max(facts.writtenBlocks, targets.upperBound)
            facts.preallocation?.remove(targets)
        }
    }
}
