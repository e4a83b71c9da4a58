import Primitives

/// Claiming, installing and abandoning loads.
extension CacheShard {
    enum Claim {
        case pinned(PinnedBlock)
        /// Another thread is fetching it.
        case wait(LoadTicket)
        /// The caller fetches it under its ticket.
        case claimed
    }

    /// Lends the block, or says whom to wait for, or makes the caller the one who fetches it.
    mutating func claim(
        _ address: BlockAddress, hash: UInt64, _ range: Range<Int>, ticket: LoadTicket
    ) -> Claim {
        let entry =
            table.find(address, hash: hash) ?? table.insert(BlockEntry(address: address))
        if let pinned = pin(entry, range) { return .pinned(pinned) }
        if let other = entry.pointee.load { return .wait(other) }
        entry.pointee.load = ticket
        entry.pointee.isLoadedFormStale = false
        return .claimed
    }

    /// The same for a block that nobody asked for yet; `false` when there is something of it already.
    mutating func claimAhead(_ address: BlockAddress, hash: UInt64, ticket: LoadTicket) -> Bool {
        guard table.find(address, hash: hash) == nil else { return false }
        var block = BlockEntry(address: address)
        block.load = ticket
        _ = table.insert(block)
        return true
    }

    /// The load failed or is not made.
    mutating func abandon(_ address: BlockAddress, hash: UInt64, ticket: LoadTicket) {
        guard let entry = table.find(address, hash: hash), entry.pointee.load === ticket else {
            return
        }
        entry.pointee.load = nil
        if entry.pointee.isWorthless { remove(entry) }
    }

    /// Takes in what a load brought into `slot`, unless the block was forgotten since the load began, and
    /// pins it for `range`. Bytes that are known already stay. When the slot becomes the block's, `slot`
    /// is set to none; otherwise it stays the caller's.
    mutating func install(
        _ address: BlockAddress, hash: UInt64, ticket: LoadTicket, slot: inout Slot,
        form: StoredForm, pinning range: Range<Int>?
    ) -> PinnedBlock? {
        guard let entry = table.find(address, hash: hash), entry.pointee.load === ticket else {
            return nil
        }
        entry.pointee.load = nil
        if !entry.pointee.isLoadedFormStale { entry.pointee.form = form }
        if form == .absent {
            entry.pointee.restIsZero = true
            if !entry.pointee.hasSlot { noteHole(address) }
        } else if !entry.pointee.restIsZero {
            merge(entry, &slot)
        }
        return range.flatMap { pin(entry, $0) }
    }

    private mutating func merge(_ entry: Entry, _ slot: inout Slot) {
        let block = entry.pointee
        guard block.hasSlot else {
            entry.pointee.slot = slot
            entry.pointee.known = ByteRanges(wholeBlock)
            entry.pointee.node = policy.insert(entry, hash: block.address.mixed)
            slot = BlockPool.none
            return
        }
        let loaded = slots.memory(of: slot)
        let present = slots.memory(of: block.slot)
        let isPinned = slots.pins[Int(block.slot)] > 0
        if !isPinned, block.known.byteCount > slots.blockBytes / 2 {
            block.known.forEachGap(in: wholeBlock) { gap in
                UnsafeMutableRawBufferPointer(rebasing: present[gap])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: loaded[gap]))
            }
        } else {
            // Readers may look at bytes that were known once and are fetched anew, and a flush at what it
            // took: their slot does not change, the block moves.
            block.known.forEach { range in
                UnsafeMutableRawBufferPointer(rebasing: loaded[range])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: present[range]))
            }
            letGo(block.slot)
            entry.pointee.slot = slot
            slot = BlockPool.none
        }
        entry.pointee.known = ByteRanges(wholeBlock)
    }
}
