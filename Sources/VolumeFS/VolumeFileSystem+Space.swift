import Cache
public import FileSystem
public import Primitives
import VolumeStore

// fallocate(2). A store has no reservations: preallocating sets the size and makes sure that the store has
// room at this moment, but a later write can still be refused (docs/SEMANTICS.md). That `st_blocks` shows
// what was preallocated is a matter of this mount's memory alone.
extension VolumeFileSystem {
    public func fallocate(
        _ caller: Caller, inode: InodeID, handle: HandleID, mode: Int32, offset: FileOffset,
        length: UInt64
    ) throws(Errno) {
        try requireWritable()
        let file = try files.item(handle)
        let request = try SpaceRequest(mode: mode, offset: offset, length: length)
        let state = file.state
        try refresh(state)
        switch request.action {
        case .reserve: try requireRoom(for: request.range, in: state)
        case .punch, .zero: break
        }
        // The kernel does not say whether the caller may keep setuid; root may.
        let clearing = privilegeClearing(by: caller, of: state, if: caller.userID != 0)
        try cache.throttle(incoming: 2 * blockSize.bytes)
        try telling(ofPrivilegesOf: state, clearing) { () throws(Errno) in
            try change(request, of: state, clearing: clearing)
        }
        if file.options.contains(.synchronous) { try flush(state) }
    }

    private func change(
        _ request: SpaceRequest, of state: InodeState, clearing: PrivilegeClearing
    ) throws(Errno) {
        try stripes.withExclusive(state.id) { () throws(Errno) in
            try dropCapability(of: state)
            if request.clears {
                try store.whileAlone { isAlone throws(Errno) in
                    try clear(
                        request.range, of: state, isAlone: isAlone,
                        clearing: clearing)
                }
            } else {
                state.withFacts { facts in
                    facts.noteStatusChange(at: .now)
                    facts.clearPrivileges(clearing)
                }
            }
            if request.leastSize > state.record.size {
                try flushStripes.withExclusive(state.id) { () throws(Errno) in
                    try resizeHoldingStripes(
                        state, to: request.leastSize, clearing: clearing)
                }
            }
            switch request.action {
            case .reserve, .zero: try notePreallocation(of: request.range, in: state)
            case .punch:
                state.withFacts { $0.preallocation?.remove(wholeBlocks(of: request.range)) }
            }
        }
    }

    /// Blocks in which a look for what is stored already is worth its trips, of 4,096 blocks each.
    private static let mostBlocksLookedFor = 65_536

    /// From now on `st_blocks` counts the blocks of the range that nobody has stored. The caller holds the
    /// inode's stripe exclusively. Costs no trip where nothing was written yet.
    private func notePreallocation(
        of range: Range<UInt64>, in state: InodeState
    ) throws(Errno) {
        let first = range.lowerBound / UInt64(blockSize.bytes)
        let blocks = first..<blockSize.blockCount(forSize: range.upperBound)
        var (record, bound) = state.withFacts { facts in
            (facts.record, max(facts.storedBound, facts.writtenBlocks))
        }
        let isDirty = cache.dirtyBlockCount(of: state.id) > 0
        if record.storedBlocks == 0, !isDirty { bound = 0 }
        let asked = blocks.clamped(to: 0..<bound)
        var absent = Preallocation()
        absent.insert(blocks.clamped(to: bound..<UInt64.max), end: range.upperBound)
        if !asked.isEmpty, asked.count <= Self.mostBlocksLookedFor {
            if isDirty { try flush(state) }
            record = state.record
            let stored = try store.storedBlockIndexes(record.data, in: asked)
            absent.insert(asked, end: range.upperBound)
            for (block, isStored) in zip(asked, stored) where isStored {
                absent.remove(block..<block + 1)
            }
        }
        state.withFacts { facts in
            for blocks in absent.ranges { facts.preallocation?.insert(blocks, end: absent.end) }
            if facts.preallocation == nil { facts.preallocation = absent }
        }
    }

    private func wholeBlocks(of range: Range<UInt64>) -> Range<UInt64> {
        let first = blockSize.blockCount(forSize: range.lowerBound)
        return first..<max(first, range.upperBound / UInt64(blockSize.bytes))
    }

    /// ENOSPC when the store has no room now for what of the range cannot be stored already.
    private func requireRoom(for range: Range<UInt64>, in state: InodeState) throws(Errno) {
        let stored = state.record.storedBlocks.multipliedReportingOverflow(
            by: UInt64(blockSize.bytes))
        let wanted = UInt64(range.count)
        guard !stored.overflow, wanted > stored.partialValue else { return }
        let statistics = try store.statistics()
        guard statistics.capacityBytes > 0 else { return }
        guard wanted - stored.partialValue <= statistics.availableBytes else { throw .noSpace }
    }

    /// Makes bytes zeros: whole blocks are dropped from the store, parts of blocks written over. The caller
    /// holds the inode's stripe exclusively.
    private func clear(
        _ range: Range<UInt64>, of state: InodeState, isAlone: Bool, clearing: PrivilegeClearing
    ) throws(Errno) {
        let record = state.record
        let plan = ClearingPlan(
            range, fileSize: record.size, coversEnd: isAlone, blockSize: blockSize)
        state.withFacts {
            $0.noteWrite(end: 0, at: .now, clearing: clearing)
        }
        defer { state.withFacts { $0.noteWritten() } }
        for edge in plan.edges {
            try clear(edge, of: record.data, owner: state.id)
        }
        guard !plan.blocks.isEmpty else { return }
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            let after: InodeRecord
            do throws(Errno) {
                after = try store.deallocate(
                    state.record, blocks: plan.blocks, time: state.record.modificationTime)
            } catch {
                cache.invalidate(record.data, blocks: plan.blocks)
                throw error
            }
            // After the store: what a prefetch has begun to load meanwhile is not installed.
            cache.forget(record.data, owner: state.id, blocks: plan.blocks)
            generations.bump(state.id)
            state.withCommitted { facts in
                facts.record.storedBlocks = after.storedBlocks
                facts.record.allocatedBlocks = max(
                    facts.record.allocatedBlocks, after.allocatedBlocks)
            }
        }
    }

    /// Writes zeros, unless the bytes are zeros already: a hole stays one.
    private func clear(
        _ edge: ClearingPlan.Edge, of data: DataID, owner: InodeID
    ) throws(Errno) {
        let address = BlockAddress(data: data, index: edge.index)
        let pins = try cache.pinLoading(
            [BlockPiece(address: address, range: edge.range)], ahead: [])
        let isClear = pins.allSatisfy { pin in pin.bytes[edge.range].allSatisfy { $0 == 0 } }
        for pin in pins { cache.unpin(pin) }
        if isClear { return }
        try cache.writeZeros(address, owner: owner, range: edge.range, baseIsAbsent: false)
    }
}
