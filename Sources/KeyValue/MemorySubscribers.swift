import Glibc
import Primitives

/// The subscriptions of a `MemoryStore`.
final class MemorySubscribers: Sendable {
    private let running = Locked<[MemorySubscription]>([])

    func add(
        _ channel: Bytes, _ handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) -> MemorySubscription {
        let subscription = MemorySubscription(channel, handler) { [weak self] ended in
            self?.running.withLock { $0.removeAll { $0 === ended } }
        }
        running.withLock { $0.append(subscription) }
        subscription.start()
        return subscription
    }

    /// The publisher holds the key that numbers its messages, so that they arrive in order.
    func publish(_ channel: Bytes, _ message: Bytes) {
        running.withLock { running in
            for subscription in running where subscription.channel == channel {
                subscription.enqueue(message)
            }
        }
    }

    func close() {
        let all = running.withLock { $0 }
        for subscription in all { subscription.cancel() }
    }
}

/// Delivers messages from a thread of its own.
final class MemorySubscription: Subscription, @unchecked Sendable {
    private struct State {
        var events: [SubscriptionEvent] = [.established]
        var isCancelled = false
        var isFinished = false
        var deliveringThread: pthread_t?
    }

    /// A handler that falls this far behind is told that messages were lost.
    private static let maximumWaitingEvents = 65_536

    let channel: Bytes
    private let handler: @Sendable (SubscriptionEvent) -> Void
    private let onEnd: @Sendable (MemorySubscription) -> Void
    private let state = Monitor(State())
    private let thread = Locked<WorkerThread?>(nil)

    init(
        _ channel: Bytes, _ handler: @escaping @Sendable (SubscriptionEvent) -> Void,
        onEnd: @escaping @Sendable (MemorySubscription) -> Void
    ) {
        self.channel = channel
        self.handler = handler
        self.onEnd = onEnd
    }

    func start() {
        let worker = WorkerThread(name: "subscription") { [self] in deliver() }
        thread.withLock { $0 = worker }
    }

    func enqueue(_ message: Bytes) {
        state.change { state in
            if state.events.count >= Self.maximumWaitingEvents {
                state.events = [.interrupted, .established]
            }
            state.events.append(.message(message))
        }
    }

    func cancel() {
        let isOwnThread = state.change { state in
            state.isCancelled = true
            return state.deliveringThread.map { pthread_equal($0, pthread_self()) != 0 } ?? false
        }
        onEnd(self)
        if isOwnThread { return }
        state.wait { $0.isFinished ? () : nil }
        thread.withLock { $0 }?.join()
    }

    private func deliver() {
        state.withLock { $0.deliveringThread = pthread_self() }
        defer { state.change { $0.isFinished = true } }
        while true {
            let events = state.wait { state -> [SubscriptionEvent]? in
                if state.isCancelled { return [] }
                guard !state.events.isEmpty else { return nil }
                defer { state.events = [] }
                return state.events
            }
            for event in events ?? [] {
                if state.withLock({ $0.isCancelled }) { return }
                handler(event)
            }
            if events?.isEmpty != false { return }
        }
    }
}
