import Primitives

/// Writing, flushing and the accounting of dirty bytes.
extension CacheShard {
    enum Content {
        case bytes(UnsafeRawBufferPointer)
        case zeros
    }

    /// Puts `content` at `range` and marks it dirty. `false`: nothing was changed because a slot is needed
    /// and `spare` is none. A spare slot that is used becomes none.
    mutating func write(
        _ address: BlockAddress, hash: UInt64, owner: InodeID, range: Range<Int>,
        content: Content, baseIsAbsent: Bool, onlyIfClean: Bool = false, spare: inout Slot
    ) -> Bool {
        let found = table.find(address, hash: hash)
        if onlyIfClean, found?.pointee.isDirty == true { return true }
        let needsSlot = found.map { !$0.pointee.hasSlot || $0.pointee.isFrozen } ?? true
        if needsSlot, spare == BlockPool.none { return false }
        let entry = found ?? table.insert(newBlock(address, baseIsAbsent: baseIsAbsent))
        if needsSlot {
            if entry.pointee.hasSlot { move(entry, to: spare, except: range) }
            entry.pointee.slot = spare
            spare = BlockPool.none
        }
        let target = UnsafeMutableRawBufferPointer(
            rebasing: slots.memory(of: entry.pointee.slot)[range])
        switch content {
        case .bytes(let bytes): target.copyMemory(from: bytes)
        case .zeros: target.zero()
        }
        entry.pointee.known.insert(range)
        markDirty(entry, range, owner: owner)
        return true
    }

    private func newBlock(_ address: BlockAddress, baseIsAbsent: Bool) -> BlockEntry {
        var block = BlockEntry(address: address)
        block.restIsZero = baseIsAbsent
        block.form = baseIsAbsent ? .absent : .unknown
        return block
    }

    /// Copies the known bytes to another slot, because a flush reads the present one; those in `range` are
    /// about to be overwritten.
    private mutating func move(_ entry: Entry, to slot: Slot, except range: Range<Int>) {
        let present = slots.memory(of: entry.pointee.slot)
        let target = slots.memory(of: slot)
        var kept = entry.pointee.known
        kept.remove(range)
        kept.forEach { range in
            UnsafeMutableRawBufferPointer(rebasing: target[range])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: present[range]))
        }
        letGo(entry.pointee.slot)
    }

    /// A copy of what is known of a clean block, if that is one range.
    func copyOfClean(_ address: BlockAddress, hash: UInt64) -> (offset: Int, bytes: [UInt8])? {
        guard let entry = table.find(address, hash: hash), entry.pointee.hasSlot,
            !entry.pointee.isDirty, entry.pointee.known.count == 1
        else { return nil }
        let range = entry.pointee.known.span
        let memory = UnsafeRawBufferPointer(slots.memory(of: entry.pointee.slot))
        return (range.lowerBound, [UInt8](UnsafeRawBufferPointer(rebasing: memory[range])))
    }

    private mutating func markDirty(_ entry: Entry, _ range: Range<Int>, owner: InodeID) {
        if entry.pointee.isDirty {
            precondition(entry.pointee.owner == owner, "a block's data belongs to one inode")
        } else {
            entry.pointee.owner = owner
            if entry.pointee.node >= 0 {
                entry.pointee.isProven = policy.remove(entry.pointee.node) == .main
                entry.pointee.node = -1
            }
            owners.blockBecameDirty(entry.pointee.address, owner: owner)
        }
        owners.add(entry.pointee.dirty.insert(range), owner: owner)
    }

    /// Nothing is dirty or taken any more: the block may be evicted, or has nothing to offer.
    private mutating func becameClean(_ entry: Entry) {
        owners.blockBecameClean(entry.pointee.address, owner: entry.pointee.owner)
        if entry.pointee.isWorthless {
            remove(entry)
            return
        }
        precondition(entry.pointee.hasSlot, "what was dirty has memory")
        entry.pointee.node = policy.insert(
            entry, hash: entry.pointee.address.mixed, isProven: entry.pointee.isProven)
        entry.pointee.isProven = false
    }

    // MARK: Flushing

    /// Takes the block's dirty ranges for a flush; `nil` when there are none. The caller holds the
    /// owner's flush right, so nothing of the block is taken already.
    mutating func take(_ address: BlockAddress, hash: UInt64) -> DirtyBlock? {
        guard let entry = table.find(address, hash: hash), !entry.pointee.dirty.isEmpty else {
            return nil
        }
        precondition(entry.pointee.taken == nil, "a block is flushed by one thread at a time")
        let isWholeKnown = entry.pointee.isKnown(wholeBlock)
        let ranges = entry.pointee.dirty
        let isPatch = entry.pointee.form == .raw || !isWholeKnown
        var copy: SideCopy?
        var contentEnd = slots.blockBytes
        if isPatch, ranges.span.count <= SideCopy.spanLimit {
            copy = SideCopy(of: slots.memory(of: entry.pointee.slot), ranges: ranges)
        } else {
            slots.pins[Int(entry.pointee.slot)] += 1
            if isWholeKnown {
                contentEnd = entry.pointee.known.span.upperBound
                writeKnownZeros(entry, in: 0..<contentEnd)
            }
        }
        entry.pointee.taken = TakenRanges(
            ranges: ranges, slot: copy == nil ? entry.pointee.slot : BlockPool.none)
        entry.pointee.dirty.removeAll()
        entry.pointee.isLoadedFormStale = true
        return DirtyBlock(
            address: address, ranges: ranges.ranges,
            memory: copy?.memory
                ?? UnsafeRawBufferPointer(slots.memory(of: entry.pointee.slot)),
            isWholeKnown: isWholeKnown && copy == nil, contentEnd: contentEnd,
            form: entry.pointee.form, owner: entry.pointee.owner, copy: copy)
    }

    /// The flush of a taken block is over. `form`: what is stored now; `nil`: it failed, and what was taken
    /// is dirty again (bytes written since are newer and stand in memory already).
    mutating func finish(_ address: BlockAddress, hash: UInt64, form: StoredForm?) {
        guard let entry = table.find(address, hash: hash), let taken = entry.pointee.taken else {
            preconditionFailure("only a taken block is finished, and it stays until then")
        }
        entry.pointee.taken = nil
        entry.pointee.isLoadedFormStale = true
        if let form {
            entry.pointee.form = taken.isInvalidated ? .unknown : form
            if taken.isInvalidated {
                entry.pointee.known = entry.pointee.dirty
                // A load that began before the flush has stored brings, or has brought, what was there
                // before: perhaps nothing.
                entry.pointee.restIsZero = false
                entry.pointee.load = nil
            }
            owners.add(-taken.ranges.byteCount, owner: entry.pointee.owner)
        } else {
            // It may have been stored nevertheless, or in part.
            entry.pointee.form = .unknown
            let separate = entry.pointee.dirty.byteCount + taken.ranges.byteCount
            entry.pointee.dirty.formUnion(taken.ranges)
            owners.add(
                entry.pointee.dirty.byteCount - separate, owner: entry.pointee.owner)
        }
        if !entry.pointee.isDirty { becameClean(entry) }
        // Last, because it may evict the block that became clean.
        if taken.slot != BlockPool.none { unpin(taken.slot) }
    }

    // MARK: Forgetting

    /// Forgets a block, dirty or not. The caller holds the owner's flush right.
    mutating func forget(_ entry: Entry) {
        precondition(entry.pointee.taken == nil, "nothing of the owner is in flight")
        if !entry.pointee.dirty.isEmpty {
            owners.add(-entry.pointee.dirty.byteCount, owner: entry.pointee.owner)
            entry.pointee.dirty.removeAll()
            owners.blockBecameClean(entry.pointee.address, owner: entry.pointee.owner)
        }
        remove(entry)
    }

    /// The file ends in this block: from `keeping` on it is zeros. The caller holds the flush right.
    mutating func truncate(_ address: BlockAddress, hash: UInt64, keeping: Int) {
        guard let entry = table.find(address, hash: hash) else { return }
        precondition(entry.pointee.taken == nil, "nothing of the owner is in flight")
        let tail = keeping..<slots.blockBytes
        // What a load in flight brings is from before.
        entry.pointee.load = nil
        if entry.pointee.form != .absent { entry.pointee.form = .unknown }
        let wasDirty = entry.pointee.isDirty
        owners.add(-entry.pointee.dirty.remove(tail), owner: entry.pointee.owner)
        entry.pointee.known.remove(tail)
        if !entry.pointee.restIsZero, entry.pointee.known.contains(0..<keeping) {
            entry.pointee.restIsZero = true
        } else if !entry.pointee.restIsZero, entry.pointee.hasSlot {
            UnsafeMutableRawBufferPointer(rebasing: slots.memory(of: entry.pointee.slot)[tail])
                .zero()
            entry.pointee.known.insert(tail)
        }
        if wasDirty, !entry.pointee.isDirty {
            becameClean(entry)
        } else if entry.pointee.isWorthless {
            remove(entry)
        }
    }

    /// Another mount changed the block: only what this mount wrote and the store does not have yet stays.
    mutating func invalidate(_ entry: Entry) {
        entry.pointee.load = nil
        guard entry.pointee.isDirty else {
            remove(entry)
            return
        }
        entry.pointee.form = .unknown
        entry.pointee.restIsZero = false
        entry.pointee.known = entry.pointee.dirty
        if var taken = entry.pointee.taken {
            entry.pointee.known.formUnion(taken.ranges)
            taken.isInvalidated = true
            entry.pointee.taken = taken
        }
    }

    /// Those blocks of `data` with an index in `indexes` that are here.
    func entries(of data: DataID, in indexes: Range<UInt64>) -> [Entry] {
        table.entries { entry in
            let address = entry.pointee.address
            return address.data == data && indexes.contains(address.index.rawValue)
        }
    }
}
