import Foundation
import KeyValue
import Primitives

/// A store that counts the round trips of one thread, and of those that list directories for it. Calls are
/// made one at a time, so that what the background threads do meanwhile is told apart exactly.
final class CountingStore: KeyValueStore {
    struct Count {
        var thread: UInt = 0
        var trips: UInt64 = 0
        var calls: [String] = []
    }

    private let inner: any KeyValueStore
    private let count = Locked(Count())
    /// Where calls are held up.
    enum Stage {
        /// On their way to the store.
        case call
        /// On their way back.
        case answer
    }

    private struct Held {
        /// Names of threads whose calls wait now.
        var names: [String: Stage] = [:]
        /// Those of which one does.
        var waiting: Set<String> = []
    }

    private let held = Monitor(Held())
    private let delays: StoreDelays?

    init(_ inner: any KeyValueStore, delays: StoreDelays? = nil) {
        self.inner = inner
        self.delays = delays
    }

    /// The calls of this thread while `body` runs, and how many round trips they made.
    func measure(_ body: () throws -> Void) rethrows -> (trips: UInt64, calls: [String]) {
        count.withLock { $0 = Count(thread: currentThread()) }
        try body()
        return count.withLock { ($0.trips, $0.calls) }
    }

    /// The round trips since the last `measure` began.
    var measuredTrips: UInt64 { count.withLock { $0.trips } }

    /// Runs `body` while the calls of the threads called `name` wait.
    func holding(
        _ name: String, at stage: Stage = .call, _ body: () throws -> Void
    ) rethrows {
        held.change { $0.names[name] = stage }
        defer {
            held.change { held in
                held.names[name] = nil
                held.waiting.remove(name)
            }
        }
        try body()
    }

    /// Waits until a call of a thread called `name` is held.
    func awaitHeld(_ name: String) { held.wait { $0.waiting.contains(name) ? () : nil } }

    private func awaitTurn(at stage: Stage) {
        guard held.withLock({ !$0.names.isEmpty }) else { return }
        guard let name = StoreDelays.threadName() else { return }
        held.change { held in if held.names[name] == stage { held.waiting.insert(name) } }
        held.wait { $0.names[name] == stage ? nil : () }
    }

    private func counted<Result>(
        _ call: @autoclosure () -> String, _ body: () throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        awaitTurn(at: .call)
        delays?.pause()
        defer {
            awaitTurn(at: .answer)
            delays?.pause()
        }
        return try count.withLock { count throws(StoreError) -> Result in
            let before = inner.roundTrips
            defer {
                if count.thread == currentThread() || isListing() {
                    count.trips += inner.roundTrips - before
                    count.calls.append(call())
                }
            }
            return try body()
        }
    }

    private func currentThread() -> UInt { UInt(pthread_self()) }

    private func isListing() -> Bool { StoreDelays.threadName()?.hasPrefix("listing-") == true }

    func read(_ reads: [Read]) throws(StoreError) -> [ReadAnswer] {
        try counted("read \(reads)") { () throws(StoreError) in try inner.read(reads) }
    }

    func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome {
        try counted("commit \(batch)") { () throws(StoreError) in try inner.commit(batch) }
    }

    func load(_ requests: [BlockLoad]) throws(StoreError) -> [BlockLoadAnswer] {
        try counted("load \(requests.count)") { () throws(StoreError) in try inner.load(requests) }
    }

    func store(
        _ writes: [BlockWrite], then batch: Batch?, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome {
        try counted("store \(writes.map(\.kind)), \(batch.map { "\($0)" } ?? "no batch")") {
            () throws(StoreError) in try inner.store(writes, then: batch, by: session)
        }
    }

    func drop(_ keys: [Bytes], by session: Bytes?) throws(StoreError) {
        try counted("drop \(keys.count)") { () throws(StoreError) in
            try inner.drop(keys, by: session)
        }
    }

    func subscribe(
        to channel: Bytes, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        try inner.subscribe(to: channel, handler: handler)
    }

    func end(session: Bytes) throws(StoreError) { try inner.end(session: session) }

    func status() throws(StoreError) -> StoreStatus {
        try counted("status") { () throws(StoreError) in try inner.status() }
    }

    var roundTrips: UInt64 { inner.roundTrips }

    func close() { inner.close() }
}
