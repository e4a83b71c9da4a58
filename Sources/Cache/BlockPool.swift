import CLinux
import Glibc
import Primitives
import Synchronization

/// The memory of all cached blocks: one reserved piece of address space, handed out in slots of one block.
///
/// Pages come to life when they are first written, so resident memory follows use. A slot that is given
/// back is the first to be handed out again (it is warm). Beyond `capacity` there are
/// `reserveCount` more for blocks that a request cannot do without while all others are dirty or pinned.
/// The capacity can be cut while the cache is in use; memory that is no longer wanted goes back to the system
/// by `releaseSurplus` (its slots are cold).
///
/// Rank: its lock is the innermost one; shard locks are held while it is taken.
final class BlockPool: @unchecked Sendable {
    typealias Slot = Int32
    static let none: Slot = -1

    private struct State {
        var capacity: Int
        /// Slots that were used and are free, most recently used last.
        var warm: [Slot] = []
        /// Free slots whose memory the system has back.
        var cold: [Slot] = []
        /// Slots from here on were never used.
        var firstFresh: Slot = 0
        var usedCount = 0
    }

    let blockBytes: Int
    /// The largest capacity.
    let nominalCapacity: Int
    let slots: SlotMemory
    private let reserveCount: Int
    private let state: Locked<State>
    /// How many slots beyond `capacity` are in use; read without the lock as a hint.
    private let excess = Atomic<Int>(0)

    init(blockBytes: Int, capacity: Int, reserveCount: Int) {
        self.blockBytes = blockBytes
        nominalCapacity = capacity
        self.reserveCount = reserveCount
        slots = SlotMemory(blockBytes: blockBytes, count: capacity + reserveCount)
        state = Locked(State(capacity: capacity))
    }

    deinit { slots.destroy() }

    /// A free slot, or `nil` when the capacity (with `beyondCapacity`: the reserve, too) is used up.
    func take(beyondCapacity: Bool = false) -> Slot? {
        state.withLock { state in
            let limit = state.capacity + (beyondCapacity ? reserveCount : 0)
            guard state.usedCount < limit else { return nil }
            state.usedCount += 1
            noteExcess(state)
            if let slot = state.warm.popLast() ?? state.cold.popLast() { return slot }
            precondition(state.firstFresh < slots.count, "each slot is used, warm, cold or fresh")
            defer { state.firstFresh += 1 }
            return state.firstFresh
        }
    }

    /// Takes a slot back. Nobody reads or writes it any more.
    func give(_ slot: Slot) {
        state.withLock { state in
            precondition(state.usedCount > 0, "a slot is given back once")
            state.usedCount -= 1
            noteExcess(state)
            state.warm.append(slot)
        }
    }

    /// Whether clean blocks should go because more than the capacity is in use. A hint.
    var isBeyondCapacity: Bool { excess.load(ordering: .relaxed) > 0 }

    var usedCount: Int { state.withLock { $0.usedCount } }

    /// How many slots have memory, apart from cold ones.
    var residentCount: Int { state.withLock { $0.usedCount + $0.warm.count } }

    /// How many slots may be in use; at most `nominalCapacity`. Those in use beyond it stay until they are
    /// given back.
    var capacity: Int {
        get { state.withLock { $0.capacity } }
        set {
            precondition((1...nominalCapacity).contains(newValue), "the pool has that many slots")
            state.withLock { state in
                state.capacity = newValue
                noteExcess(state)
            }
        }
    }

    /// Gives the memory of free slots back to the system, as far as used and warm slots are more than the
    /// capacity. For one thread.
    func releaseSurplus() {
        while let slot = takeSurplus() {
            apusfs_release_pages(slots.memory(of: slot).baseAddress, blockBytes)
            becomeCold(slot)
        }
    }

    /// A warm slot, which counts as used: otherwise one could be taken in its place that does not exist.
    func takeSurplus() -> Slot? {
        state.withLock { state in
            guard state.usedCount + state.warm.count > state.capacity,
                let slot = state.warm.popLast()
            else { return nil }
            state.usedCount += 1
            return slot
        }
    }

    /// The system has the memory of a slot that `takeSurplus` returned.
    func becomeCold(_ slot: Slot) {
        state.withLock { state in
            state.usedCount -= 1
            state.cold.append(slot)
        }
    }

    private func noteExcess(_ state: State) {
        excess.store(max(0, state.usedCount - state.capacity), ordering: .relaxed)
    }
}

/// Where the slots lie, as plain pointers that cost nothing to copy. Owned by `BlockPool`.
struct SlotMemory: @unchecked Sendable {
    let blockBytes: Int
    let count: Int
    /// One block of zeros, for all holes.
    let zeros: UnsafeRawBufferPointer
    // SAFETY: mapped in init and unmapped by the pool's deinit. A slot's bytes belong to whoever took it.
    private let base: UnsafeMutableRawPointer
    private let mappedBytes: Int
    /// Readers and flushes that use a slot. Guarded by the lock of the shard that holds the slot.
    let pins: UnsafeMutablePointer<Int32>
    /// No block stands in the slot any more: whoever unpins it last gives it back. Guarded as `pins`.
    let isOrphan: UnsafeMutablePointer<Bool>

    fileprivate init(blockBytes: Int, count: Int) {
        self.blockBytes = blockBytes
        self.count = count
        mappedBytes = blockBytes * (count + 1)
        let mapped = mmap(
            nil, mappedBytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapped, mapped != UnsafeMutableRawPointer(bitPattern: -1) else {
            preconditionFailure(
                "the system refused \(mappedBytes) bytes of address space for the cache")
        }
        base = mapped
        apusfs_advise_huge_pages(base, blockBytes * count)
        // The last block is never written.
        zeros = UnsafeRawBufferPointer(start: base + blockBytes * count, count: blockBytes)
        pins = .allocate(capacity: count)
        pins.initialize(repeating: 0, count: count)
        isOrphan = .allocate(capacity: count)
        isOrphan.initialize(repeating: false, count: count)
    }

    fileprivate func destroy() {
        munmap(base, mappedBytes)
        pins.deallocate()
        isOrphan.deallocate()
    }

    func memory(of slot: BlockPool.Slot) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + Int(slot) * blockBytes, count: blockBytes)
    }
}
