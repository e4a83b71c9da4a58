import Primitives
import Synchronization
public import Telemetry

/// A store in this process's memory: for tests, for `memory:` volumes, and for measuring what lies above
/// a store alone. It keeps the contract to the letter, and nothing when the process ends.
public final class MemoryStore: KeyValueStore {
    let shards = MemoryShards()
    let subscribers = MemorySubscribers()
    let limitBytes: UInt64
    let metrics: Metrics
    private let trips = Atomic<UInt64>(0)
    private let isClosed = Atomic<Bool>(false)

    /// From `limitBytes` used bytes on the store refuses growth (`StoreError.outOfMemory`), and blocks that
    /// would leave less than the reserve; 0: never.
    public init(limitBytes: UInt64 = 0, metrics: Metrics = Metrics()) {
        self.limitBytes = limitBytes
        self.metrics = metrics
    }

    deinit { subscribers.close() }

    public var isShared: Bool { false }

    public var roundTrips: UInt64 { trips.load(ordering: .relaxed) }

    public func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        try beginTrip()
        return try apply(batch)
    }

    public func subscribe(
        to channel: Bytes, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        if isClosed.load(ordering: .acquiring) { throw .closed }
        return subscribers.add(channel, handler)
    }

    public func status() throws(StoreError) -> StoreStatus {
        try beginTrip()
        return StoreStatus(
            product: "memory", usedBytes: UInt64(max(0, shards.usedBytes)), limitBytes: limitBytes,
            machineBytes: 0, mayEvict: false, persistence: .none, isReadOnly: false)
    }

    func hasRoom(forBlocks bytes: Int) -> Bool {
        guard limitBytes > 0 else { return true }
        let allowed = limitBytes - MemoryReserve.bytes(ofLimit: limitBytes)
        return UInt64(max(0, shards.usedBytes)) + UInt64(bytes) <= allowed
    }

    public func close() {
        isClosed.store(true, ordering: .releasing)
        subscribers.close()
    }

    /// Counts a call that on another store would go to a server.
    func beginTrip() throws(StoreError) {
        if isClosed.load(ordering: .acquiring) { throw .closed }
        trips.wrappingAdd(1, ordering: .relaxed)
        metrics.add(.storeRoundTrips)
    }

    /// Every key that is there, in no order: for tests that hold nothing to be left behind.
    package func allKeys() -> [Bytes] { shards.keys }

    var isFull: Bool { limitBytes > 0 && shards.usedBytes >= limitBytes }

    var nowMilliseconds: Int64 { Timestamp.now.nanoseconds / 1_000_000 }
}
