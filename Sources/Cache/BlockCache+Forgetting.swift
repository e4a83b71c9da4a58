public import Primitives

// `truncate`, `discard` and `forget` wait for a flush of the inode that is in flight, and are called while its
// stripe is held exclusively. `invalidate` waits for nothing.
extension BlockCache {
    /// The file was cut: blocks behind `block` are forgotten, dirty or not; in `block` the bytes from
    /// `keeping` on become zeros (with `keeping` 0 it is forgotten, too). `blockCount`: an upper bound of
    /// the indexes that can be cached clean.
    public func truncate(
        _ data: DataID, owner: InodeID, to block: BlockIndex, keeping bytes: Int,
        blockCount: UInt64
    ) {
        precondition(
            bytes >= 0 && bytes < settings.blockSize.bytes, "the end lies within its block")
        let first = bytes == 0 ? block.rawValue : block.rawValue + 1
        withFlushRight(of: owner) {
            forgetLocked(data, owner: owner, from: first, to: blockCount)
            if bytes > 0 {
                let address = BlockAddress(data: data, index: block)
                let hash = address.mixed
                withShard(of: hash) { $0.truncate(address, hash: hash, keeping: bytes) }
            }
        }
    }

    /// The file is gone: all its blocks are forgotten, dirty or not. `blockCount`: as for `truncate`.
    public func discard(_ data: DataID, owner: InodeID, blockCount: UInt64) {
        withFlushRight(of: owner) {
            forgetLocked(data, owner: owner, from: 0, to: blockCount)
        }
    }

    /// Forgets whole blocks, dirty or not, as for a hole that was punched.
    public func forget(_ data: DataID, owner: InodeID, blocks: Range<UInt64>) {
        withFlushRight(of: owner) {
            forEach(data, in: blocks) { shard, entry in shard.forget(entry) }
        }
    }

    /// Another mount changed blocks (`nil`: any of them). What is clean is forgotten; dirty ranges stay, and
    /// what the store holds under these blocks is no longer known.
    public func invalidate(_ data: DataID, blocks: Range<UInt64>?) {
        forEach(data, in: blocks ?? 0..<UInt64.max) { shard, entry in shard.invalidate(entry) }
        announceRoom()
    }

    /// Any block of any file may have changed.
    public func invalidateAll() {
        for index in 0..<shardCount {
            withShard(at: index) { shard in
                for entry in shard.table.entries(where: { _ in true }) { shard.invalidate(entry) }
            }
        }
        announceRoom()
    }

    /// The store certainly holds nothing under `address`: the block reads as zeros without a trip, unless
    /// the cache knows something of it already.
    public func assumeAbsent(_ address: BlockAddress) {
        let hash = address.mixed
        withShard(of: hash) { shard in
            guard shard.table.find(address, hash: hash) == nil else { return }
            var block = BlockEntry(address: address)
            block.restIsZero = true
            block.form = .absent
            _ = shard.table.insert(block)
            shard.noteHole(address)
        }
    }

    /// Corrects what is believed of the stored form of a block, if it is cached and not being flushed.
    public func setForm(_ address: BlockAddress, _ form: StoredForm) {
        let hash = address.mixed
        withShard(of: hash) { shard in
            guard let entry = shard.table.find(address, hash: hash), entry.pointee.taken == nil
            else { return }
            entry.pointee.form = form
            entry.pointee.isLoadedFormStale = true
        }
    }

    private func withFlushRight(of owner: InodeID, _ body: () -> Void) {
        // Without a deadline: whoever holds the right gives it back after at most one trip.
        guard owners.acquireFlushRight(of: owner, until: nil) else { return }
        body()
        owners.releaseFlushRight(of: owner)
        announceRoom()
    }

    /// The caller holds the flush right. Dirty blocks go whatever `end` says.
    private func forgetLocked(_ data: DataID, owner: InodeID, from first: UInt64, to end: UInt64) {
        for address in owners.dirtyBlocks(of: owner)
        where address.data == data && address.index.rawValue >= first {
            let hash = address.mixed
            withShard(of: hash) { shard in
                if let entry = shard.table.find(address, hash: hash) { shard.forget(entry) }
            }
        }
        if first < end {
            forEach(data, in: first..<end) { shard, entry in shard.forget(entry) }
        }
    }

    /// Calls `body` for each cached block of `data` in `blocks`: probes for few indexes, scans for many.
    private func forEach(
        _ data: DataID, in blocks: Range<UInt64>,
        _ body: (inout CacheShard, CacheShard.Entry) -> Void
    ) {
        if blocks.upperBound - blocks.lowerBound <= UInt64(pool.nominalCapacity) {
            for index in blocks {
                let address = BlockAddress(data: data, index: BlockIndex(index))
                let hash = address.mixed
                withShard(of: hash) { shard in
                    if let entry = shard.table.find(address, hash: hash) { body(&shard, entry) }
                }
            }
        } else {
            for index in 0..<shardCount {
                withShard(at: index) { shard in
                    for entry in shard.entries(of: data, in: blocks) { body(&shard, entry) }
                }
            }
        }
    }
}
