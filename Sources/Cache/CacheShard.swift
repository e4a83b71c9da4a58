import Glibc
import Primitives

/// One part of the cache: the blocks whose address maps to it. Every function runs under the shard's lock,
/// waits for nothing and makes no trip to the store.
struct CacheShard {
    typealias Entry = BlockTable.Entry
    typealias Slot = BlockPool.Slot

    let index: Int32
    let slots: SlotMemory
    let pool: BlockPool
    let owners: OwnerTable
    var table = BlockTable()
    var policy: S3FIFO<Entry>
    var holes = HoleRing()

    init(index: Int, pool: BlockPool, owners: OwnerTable, nominalCount: Int) {
        self.index = Int32(index)
        self.pool = pool
        self.owners = owners
        slots = pool.slots
        policy = S3FIFO(nominalCount: nominalCount)
    }

    mutating func destroy() { table.destroy() }

    var wholeBlock: Range<Int> { 0..<slots.blockBytes }

    // MARK: Reading

    /// Lends the block when every byte of `range` is known. Allocates nothing.
    mutating func pin(_ address: BlockAddress, hash: UInt64, _ range: Range<Int>) -> PinnedBlock? {
        guard let entry = table.find(address, hash: hash) else { return nil }
        return pin(entry, range)
    }

    mutating func pin(_ entry: Entry, _ range: Range<Int>) -> PinnedBlock? {
        let slot = entry.pointee.slot
        if slot == BlockPool.none {
            guard entry.pointee.restIsZero else { return nil }
            return PinnedBlock(bytes: slots.zeros, slot: BlockPool.none, shard: index)
        }
        if !entry.pointee.known.contains(range) {
            guard entry.pointee.restIsZero else { return nil }
            writeKnownZeros(entry, in: range)
        }
        slots.pins[Int(slot)] += 1
        if entry.pointee.node >= 0 { policy.touch(entry.pointee.node) }
        return PinnedBlock(
            bytes: UnsafeRawBufferPointer(slots.memory(of: slot)), slot: slot, shard: index)
    }

    /// Puts into memory the zeros that so far were only known. A flush that reads the slot does not see
    /// them: when it began, all up to the last known byte was in memory, and behind that it does not read.
    func writeKnownZeros(_ entry: Entry, in range: Range<Int>) {
        let memory = slots.memory(of: entry.pointee.slot)
        entry.pointee.known.forEachGap(in: range) { gap in
            UnsafeMutableRawBufferPointer(rebasing: memory[gap]).zero()
        }
        entry.pointee.known.insert(range)
    }

    /// Ends a reader's or a flush's use of a slot; says whether anything became free.
    @discardableResult
    mutating func unpin(_ slot: Slot) -> Bool {
        precondition(slots.pins[Int(slot)] > 0, "a pinned block is unpinned once")
        slots.pins[Int(slot)] -= 1
        guard slots.pins[Int(slot)] == 0 else { return false }
        if slots.isOrphan[Int(slot)] {
            slots.isOrphan[Int(slot)] = false
            pool.give(slot)
        }
        if pool.isBeyondCapacity, let spare = evict() { pool.give(spare) }
        return true
    }

    // MARK: Leaving

    /// Makes the least valuable clean block leave; its slot goes to the caller.
    mutating func evict() -> Slot? {
        let pins = slots.pins
        let leaving = policy.evict { entry in
            pins[Int(entry.pointee.slot)] == 0 && entry.pointee.load == nil
        }
        guard let leaving else { return nil }
        precondition(!leaving.pointee.isDirty, "a dirty block stands in no eviction queue")
        let slot = leaving.pointee.slot
        table.remove(leaving)
        return slot
    }

    /// Removes a block that is neither dirty nor taken. A load in flight finds it gone.
    mutating func remove(_ entry: Entry) {
        precondition(
            !entry.pointee.isDirty, "dirty bytes are accounted for before they are forgotten")
        if entry.pointee.node >= 0 { policy.remove(entry.pointee.node) }
        if entry.pointee.hasSlot { letGo(entry.pointee.slot) }
        table.remove(entry)
    }

    /// No entry has the slot any more; the last pin gives it back.
    func letGo(_ slot: Slot) {
        if slots.pins[Int(slot)] == 0 {
            pool.give(slot)
        } else {
            slots.isOrphan[Int(slot)] = true
        }
    }

    /// Lists a hole, and forgets the oldest when there are too many.
    mutating func noteHole(_ address: BlockAddress) {
        guard let oldest = holes.push(address), oldest != address,
            let entry = table.find(oldest, hash: oldest.mixed)
        else { return }
        if !entry.pointee.hasSlot, !entry.pointee.isDirty, entry.pointee.load == nil {
            remove(entry)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    func zero() {
        guard let start = baseAddress else { return }
        memset(start, 0, count)
    }
}

/// The last holes that were found. They take no block memory, so they do not take part in eviction; their
/// number is limited instead (about 300 bytes each, 5 MB in all).
struct HoleRing {
    static let limit = 256

    private var addresses: [BlockAddress] = []
    private var position = 0

    /// Returns the address that leaves the ring.
    mutating func push(_ address: BlockAddress) -> BlockAddress? {
        if addresses.count < Self.limit {
            addresses.append(address)
            return nil
        }
        let oldest = addresses[position]
        addresses[position] = address
        position = (position + 1) % Self.limit
        return oldest
    }
}
