import KeyValue
import Primitives
import Synchronization
import TestSupport

/// A store over another one which can fail calls, or do something just before or after one.
final class FaultyStore: KeyValueStore {
    enum Call: Equatable {
        case read
        case commit
        case load
        case store
        case drop
    }

    struct Plan {
        /// Runs before each call; what it throws becomes the call's failure, and nothing happens.
        var before: (@Sendable (Call) throws(StoreError) -> Void)?
        /// Runs after each call that worked; what it throws becomes the call's failure: the answer was
        /// lost.
        var after: (@Sendable (Call) throws(StoreError) -> Void)?
        /// Every batch that was sent.
        var batches: [Batch] = []
    }

    let base: any KeyValueStore
    let plan = Locked(Plan())

    /// Lives as long as the store that talks to it.
    let server: RedisServer?

    init(_ base: any KeyValueStore, server: RedisServer? = nil) {
        self.base = base
        self.server = server
    }

    deinit { if server != nil { base.close() } }

    /// Fails the `number`-th of the calls of kind `call` from now on, before it happens, once.
    func fail(_ call: Call, number: Int = 1, with error: StoreError = .unavailable("test")) {
        let count = Counter()
        plan.withLock { plan in
            plan.before = { found throws(StoreError) in
                guard found == call else { return }
                if count.next() == number { throw error }
            }
        }
    }

    func failAll(with error: StoreError) {
        plan.withLock { plan in plan.before = { _ throws(StoreError) in throw error } }
    }

    /// Runs `body` before the next call of kind `call`, once. `body` may use the store itself.
    func beforeNext(_ call: Call, _ body: @escaping @Sendable () -> Void) {
        let count = Counter()
        plan.withLock { plan in
            plan.before = { [weak self] found throws(StoreError) in
                guard found == call, count.next() == 1 else { return }
                body()
                // What `body` holds may hold this store.
                self?.plan.withLock { $0.before = nil }
            }
        }
    }

    func heal() {
        plan.withLock {
            $0.before = nil
            $0.after = nil
        }
    }

    final class Counter: Sendable {
        private let value = Atomic<Int>(0)

        func next() -> Int { value.add(1, ordering: .relaxed).newValue }
    }

    private func around<Result>(
        _ call: Call, _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let before = plan.withLock { $0.before }
        try before?(call)
        let result = try body()
        let after = plan.withLock { $0.after }
        try after?(call)
        return result
    }

    func read(_ reads: [Read]) throws(StoreError) -> [ReadAnswer] {
        try around(.read) { () throws(StoreError) in try base.read(reads) }
    }

    func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        plan.withLock { $0.batches.append(batch) }
        return try around(.commit) { () throws(StoreError) in try base.commit(batch) }
    }

    func load(_ requests: [BlockLoad]) throws(StoreError) -> [BlockLoadAnswer] {
        try around(.load) { () throws(StoreError) in try base.load(requests) }
    }

    func store(
        _ writes: [BlockWrite], then batch: Batch?, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome {
        if let batch { plan.withLock { $0.batches.append(batch) } }
        return try around(.store) { () throws(StoreError) in
            try base.store(writes, then: batch, by: session)
        }
    }

    func drop(_ keys: [Bytes], by session: Bytes?) throws(StoreError) {
        try around(.drop) { () throws(StoreError) in try base.drop(keys, by: session) }
    }

    func subscribe(
        to channel: Bytes, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        try base.subscribe(to: channel, handler: handler)
    }

    func end(session: Bytes) throws(StoreError) { try base.end(session: session) }

    func status() throws(StoreError) -> StoreStatus { try base.status() }
    var roundTrips: UInt64 { base.roundTrips }
    func close() { base.close() }
}
