import Cache
import FileSystem
import Logging
import Primitives
import Synchronization
import VolumeStore

// Where a write becomes durable: `flush` is called by fsync, by close, by the flusher for age and for
// the dirty limit, and at unmount. It waits in one place, `store.store`.
extension VolumeFileSystem {
    /// How much one trip carries; a larger flush is several.
    private static let maximumTripBytes = 8 << 20

    /// Stores everything of the inode that was dirty when this was called.
    func flush(_ state: InodeState) throws(Errno) {
        guard state.withFacts({ $0.isDirty }) else { return }
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            try flushHoldingStripe(state)
        }
    }

    /// The same for a caller that holds the inode's flush stripe.
    func flushHoldingStripe(_ state: InodeState) throws(Errno) {
        guard state.withFacts({ $0.isDirty }) else { return }
        guard state.record.kind == .regular else {
            try storeAccessTime(of: state)
            return
        }
        let sequence = state.withFacts { $0.writeSequence }
        // One sweep over ascending blocks: what a writer makes dirty behind the sweep is for the next.
        var next = BlockIndex(0)
        while true {
            let dirty = try cache.takeDirty(
                owner: state.id, startingAt: next, limitBytes: Self.maximumTripBytes)
            let isLast = dirty.reduce(0) { $0 + $1.dirtyByteCount } < Self.maximumTripBytes
            try storeBlocks(dirty, of: state, isLast: isLast)
            guard let last = dirty.last, !isLast else { break }
            next = last.address.index.next
        }
        state.withFacts { $0.noteFlushed(from: sequence) }
    }

    /// One trip: blocks, and behind them the size and times that they bring.
    private func storeBlocks(
        _ dirty: [DirtyBlock], of state: InodeState, isLast: Bool
    ) throws(Errno) {
        // Read after the blocks were taken: a size read before could leave out the last of them.
        let (record, pending, mayHoldCutBlocks) = state.withFacts { facts in
            (facts.record, facts.pending, facts.mayHoldCutBlocks || facts.record.hasStaleTail)
        }
        let commit = sizeCommit(record, pending, through: isLast ? nil : dirty.last)
        guard !dirty.isEmpty || commit != nil else { return }
        let changes = dirty.map { block in
            BlockChange(
                address: block.address, ranges: block.ranges, memory: block.memory,
                isWholeKnown: block.isWholeKnown,
                contentEnd: mayHoldCutBlocks
                    ? contentEnd(of: block, fileSize: record.size) : block.contentEnd,
                form: block.form)
        }
        do throws(Errno) {
            let outcome = try store.store(changes, of: state.id, then: commit)
            cache.finishFlush(dirty, forms: outcome.forms)
            recentFlushes.note(state.id, dirty.map(\.address))
            generations.bump(state.id)
            state.withCommitted { facts in
                facts.record.allocatedBlocks = max(
                    facts.record.allocatedBlocks, outcome.allocatedBlocks)
                facts.record.storedBlocks = outcome.storedBlocks
                if let commit { facts.settle(PendingAttributes(commit)) }
            }
        } catch {
            cache.flushFailed(dirty, error)
            if error == .stale, try wasCutElsewhere(state, from: record) { return }
            throw error
        }
    }

    /// Where the file's bytes end in a block that is known whole. A block that was loaded before the store
    /// had cleared a stale tail (`FORMAT.md`) may hold behind the file's end what was cut off: stored again
    /// with the rest, it would show once the file grows. `fileSize` was read after the block was taken.
    private func contentEnd(of block: DirtyBlock, fileSize: UInt64) -> Int {
        let start = block.address.index.rawValue * UInt64(blockSize.bytes)
        let fileEnd = Int(min(UInt64(blockSize.bytes), fileSize - min(fileSize, start)))
        return min(block.contentEnd, max(fileEnd, block.ranges.last?.upperBound ?? 0))
    }

    /// Another mount cut the file to nothing while data waited here: the data came before the cut, so
    /// it is gone, too. False when the inode itself is gone.
    private func wasCutElsewhere(
        _ state: InodeState, from before: InodeRecord
    ) throws(Errno) -> Bool {
        let generation = generations.current(state.id)
        let found = try store.records(of: [state.id])[0]
        guard found?.data != before.data else { return false }
        cache.discard(before.data, owner: state.id, blockCount: before.allocatedBlocks)
        state.withFacts { facts in
            facts.pending = PendingAttributes()
            facts.kernelPagesAreValid = false
            guard let found else {
                facts.isRemoved = true
                facts.isDirty = false
                return
            }
            facts.absorb(found)
            facts.isFresh = generations.current(state.id) == generation
        }
        return found != nil
    }

    /// What is to be committed behind the blocks: the size only as far as blocks have been stored, so
    /// that a crash between two trips leaves no size without its data.
    private func sizeCommit(
        _ record: InodeRecord, _ pending: PendingAttributes, through last: DirtyBlock?
    ) -> SizeCommit? {
        guard !pending.isEmpty else { return nil }
        var size = pending.size
        if let last, let wanted = size {
            let storedEnd = (last.address.index.rawValue + 1) * UInt64(blockSize.bytes)
            size = min(wanted, storedEnd)
        }
        return SizeCommit(
            inode: record.id, data: record.data, size: size,
            modificationTime: pending.modificationTime, changeTime: pending.changeTime,
            accessTime: pending.accessTime, newPermissions: pending.permissions)
    }

    /// For the cache's flusher. A failure keeps the data dirty; the next fsync or close meets it, too.
    func flushInBackground(_ owner: InodeID) {
        // Whatever is dirty has a state; one without was deleted a moment ago.
        guard let state = inodes.state(of: owner) else { return }
        do throws(Errno) {
            try flush(state)
            inodes.removeUnreferenced(owner)
        } catch {
            logger.warning(
                "data stays in memory until the store takes it",
                metadata: [
                    "inode": "\(owner)", "error": "\(error)",
                ])
        }
    }

    /// At unmount: tries until everything is stored or the store has refused for too long.
    func flushEverything() {
        lazyTimes.stop()
        let maximumRounds = 3
        for round in 1...maximumRounds {
            var failures = 0
            for state in inodes.snapshot() where state.withFacts({ $0.isDirty }) {
                do throws(Errno) {
                    try flush(state)
                } catch {
                    failures += 1
                    if round == maximumRounds {
                        lostFiles.wrappingAdd(1, ordering: .relaxed)
                        logger.error(
                            "data of a file could not be stored and is lost",
                            metadata: [
                                "inode": "\(state.id)",
                                "bytes": "\(cache.dirtyBytes(of: state.id))",
                                "error": "\(error)",
                            ])
                    }
                }
            }
            if failures == 0 { return }
        }
    }
}

extension PendingAttributes {
    init(_ commit: SizeCommit) {
        self.init(
            size: commit.size, modificationTime: commit.modificationTime,
            changeTime: commit.changeTime, accessTime: commit.accessTime,
            permissions: commit.newPermissions)
    }
}
