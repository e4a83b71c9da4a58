public import Primitives
import Telemetry

// Between `takeDirty` and `finishFlush` a thread holds the flush right of the owner: it must not wait for
// the inode's stripe meanwhile, because a truncation waits for the flush right while it holds that.
extension BlockCache {
    /// Takes dirty blocks of an inode, in ascending order, until they hold `limitBytes` (at least one
    /// block); empty when nothing is dirty.
    ///
    /// Waits while another thread flushes the same inode, so whoever gets an empty answer knows that all of
    /// it is stored. EIO when that takes too long. Each block of a non-empty answer is passed to
    /// `finishFlush` exactly once; until the last one was, nobody else can flush or truncate the inode.
    ///
    /// `startingAt` leaves out the blocks before it: whoever asks again behind the last block taken sweeps
    /// over the file once, however fast a writer makes blocks dirty that were stored already.
    ///
    /// A taken block can be read and written meanwhile.
    public func takeDirty(
        owner: InodeID, startingAt first: BlockIndex = BlockIndex(0), limitBytes: Int
    ) throws(Errno) -> [DirtyBlock] {
        guard owners.acquireFlushRight(of: owner, until: waitDeadline) else { throw .ioError }
        let now = Deadline.now.monotonicNanoseconds
        let all = owners.dirtyBlocks(of: owner)
        let addresses = all.filter { $0.index >= first }.sorted { left, right in
            (left.data.rawValue, left.index.rawValue) < (right.data.rawValue, right.index.rawValue)
        }
        var blocks: [DirtyBlock] = []
        var byteCount = 0
        for address in addresses {
            if byteCount >= limitBytes, !blocks.isEmpty { break }
            let hash = address.mixed
            guard let block = withShard(of: hash, { $0.take(address, hash: hash) }) else {
                continue
            }
            byteCount += block.ranges.reduce(0) { $0 + $1.count }
            blocks.append(block.trimmed())
        }
        if blocks.isEmpty {
            owners.releaseFlushRight(of: owner)
        } else {
            owners.flushBegan(
                of: owner, blockCount: blocks.count,
                tookAllAt: blocks.count == all.count ? now : nil)
        }
        return blocks
    }

    /// Taken blocks were stored: `forms` tells for each what the store holds now.
    public func finishFlush(_ blocks: [DirtyBlock], forms: [StoredForm]) {
        precondition(forms.count == blocks.count, "a form is said for each block")
        finish(blocks, forms: forms)
        metrics.add(.flushedBlocks, UInt64(blocks.count))
        room.change { room in
            room.changes &+= 1
            if !blocks.isEmpty { room.refusal = nil }
        }
    }

    /// Storing taken blocks failed: what was taken is dirty again (bytes written since win).
    public func flushFailed(_ blocks: [DirtyBlock], _ error: Errno) {
        finish(blocks, forms: nil)
        metrics.add(.flushFailures)
        room.change { room in
            room.changes &+= 1
            room.refusal = error == .noSpace ? error : nil
        }
    }

    private func finish(_ blocks: [DirtyBlock], forms: [StoredForm]?) {
        for (index, block) in blocks.enumerated() {
            let hash = block.address.mixed
            withShard(of: hash) {
                $0.finish(block.address, hash: hash, form: forms?[index])
            }
        }
        for (owner, own) in Dictionary(grouping: blocks, by: \.owner) {
            owners.flushEnded(of: owner, blockCount: own.count, succeeded: forms != nil)
        }
    }

    /// Starts two threads that call `flush` for inodes with dirty data: oldest first, when it is older than
    /// the limit or when there is much of it, never two at once for the same inode. `flush` takes,
    /// stores and finishes what it can; an inode for which it stored nothing is left alone for a while.
    public func startFlusher(flush: @escaping @Sendable (InodeID) -> Void) {
        flusher.start(flush: flush)
    }

    /// Ends the threads of the cache and waits for them; dirty data stays. Not called from one of them.
    public func stop() {
        governor.stop()
        flusher.stop()
        prefetcher.stop()
    }
}

extension DirtyBlock {
    /// Moves `contentEnd` before the zeros at the end of what is known.
    fileprivate func trimmed() -> DirtyBlock {
        guard isWholeKnown else { return self }
        return DirtyBlock(
            address: address, ranges: ranges, memory: memory, isWholeKnown: isWholeKnown,
            contentEnd: Self.lengthWithoutTrailingZeros(memory.prefix(contentEnd)), form: form,
            owner: owner, copy: copy)
    }

    /// Where the zeros at the end of `bytes` begin.
    static func lengthWithoutTrailingZeros(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
        let memory = UnsafeRawBufferPointer(rebasing: bytes)
        var end = memory.count
        let wordBytes = MemoryLayout<UInt64>.size
        while end >= wordBytes,
            memory.loadUnaligned(fromByteOffset: end - wordBytes, as: UInt64.self) == 0
        {
            end -= wordBytes
        }
        while end > 0, memory[end - 1] == 0 { end -= 1 }
        return end
    }
}
