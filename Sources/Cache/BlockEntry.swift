import Primitives

/// What the cache knows of one block. Guarded by the lock of its shard.
///
/// The bytes at positions of `known` stand in the slot. When `restIsZero`, all other positions are known,
/// too: they are zero bytes, which the slot's memory does not hold yet. A block without a slot is a hole
/// (`restIsZero`) or a placeholder whose load is in flight.
struct BlockEntry {
    let address: BlockAddress
    var slot: BlockPool.Slot = BlockPool.none
    /// Its place in the eviction queues; only clean blocks with a slot have one.
    var node: Int32 = -1
    /// It stood in the main queue before it became dirty.
    var isProven = false
    var form: StoredForm = .unknown
    var restIsZero = false
    var known = ByteRanges()
    /// Bytes that the store does not have, without those that a flush has taken.
    var dirty = ByteRanges()
    /// The flush in flight; one at a time.
    var taken: TakenRanges?
    /// Whose bytes are dirty or taken.
    var owner = InodeID(0)
    /// The load in flight whose result is wanted; one at a time.
    var load: LoadTicket?
    /// A flush began or ended since the load began, so what the load says of the form is out of date.
    var isLoadedFormStale = false

    init(address: BlockAddress) { self.address = address }

    var hasSlot: Bool { slot != BlockPool.none }

    var isDirty: Bool { !dirty.isEmpty || taken != nil }

    /// A flush reads the slot; its bytes must not change.
    var isFrozen: Bool { taken?.slot == slot && hasSlot }

    func isKnown(_ range: Range<Int>) -> Bool { restIsZero || known.contains(range) }

    /// Nothing would be lost with it.
    var isWorthless: Bool { known.isEmpty && !restIsZero && !isDirty && load == nil }
}

/// The dirty ranges that a flush has taken.
struct TakenRanges {
    var ranges: ByteRanges
    /// The slot that the flush reads and holds a pin on; none when it works on a copy.
    var slot: BlockPool.Slot
    /// Another mount changed the block meanwhile, so it is not known which bytes the store holds.
    var isInvalidated = false
}

/// One trip to the store that loads blocks; others that want the same blocks wait for it.
final class LoadTicket: Sendable {
    enum State: Sendable {
        case inFlight
        case finished
        case failed(Errno)
    }

    private let state = Monitor(State.inFlight)

    func finish() { state.change { $0 = .finished } }

    func fail(_ error: Errno) { state.change { $0 = .failed(error) } }

    /// Waits for the end of the trip; throws its error. What was loaded has to be looked up again: it may
    /// have been forgotten at once.
    func wait() throws(Errno) {
        let failure: Errno?? = state.wait { state -> Errno?? in
            switch state {
            case .inFlight: nil
            case .finished: .some(nil)
            case .failed(let error): .some(error)
            }
        }
        if let error = failure.flatMap({ $0 }) { throw error }
    }
}
