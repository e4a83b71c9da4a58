import KeyValue
import Primitives
import TestSupport
import Testing

@Suite struct SubscriptionContractTests {
    /// Collects events and waits for them.
    private final class Listener: Sendable {
        let events = Monitor<[SubscriptionEvent]>([])

        func hear(_ event: SubscriptionEvent) { events.change { $0.append(event) } }

        func wait(for count: Int) -> [SubscriptionEvent]? {
            events.wait(until: .after(milliseconds: 20_000)) { $0.count >= count ? $0 : nil }
        }
    }

    private func publish(_ message: Bytes, on channel: String = "c") -> Mutation {
        .publish(channel: bytes(channel), key: bytes("h"), field: bytes("n"), message: message)
    }

    @Test(arguments: StoreKind.allCases)
    func `messages carry ascending numbers and come in order, on their channel only`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let listener = Listener()
        let subscription = try store.store.subscribe(to: bytes("c")) { listener.hear($0) }
        defer { subscription.cancel() }
        #expect(try store.commit([], publish(bytes("first"))) == .committed(sums: [1]))
        try store.commit([], publish(bytes("elsewhere"), on: "other"))
        try store.commit([.keyExists(bytes("none"))], publish(bytes("never")))
        #expect(
            try store.commit(
                [], publish([]), .increment(key: bytes("h"), field: bytes("n"), by: 10),
                publish(everyByte(count: 300))) == .committed(sums: [3, 13, 14]))
        for number in 15...500 {
            #expect(try store.commit([], publish(bytes("x"))) == .committed(sums: [Int64(number)]))
        }
        let expected: [SubscriptionEvent] =
            [
                .established, .message(bytes("1 first")), .message(bytes("3 ")),
                .message(bytes("14 ") + everyByte(count: 300)),
            ] + (15...500).map { .message(bytes("\($0) x")) }
        #expect(listener.wait(for: expected.count) == expected)
    }

    @Test(arguments: StoreKind.allCases)
    func `nothing is delivered after a subscription was cancelled`(kind: StoreKind) throws {
        let store = try kind.make()
        let listener = Listener()
        let other = Listener()
        let subscription = try store.store.subscribe(to: bytes("c")) { listener.hear($0) }
        let running = try store.store.subscribe(to: bytes("c")) { other.hear($0) }
        defer { running.cancel() }
        try store.commit([], publish(bytes("a")))
        #expect(listener.wait(for: 2) == [.established, .message(bytes("1 a"))])
        subscription.cancel()
        try store.commit([], publish(bytes("b")))
        #expect(other.wait(for: 3)?.last == .message(bytes("2 b")))
        #expect(listener.events.withLock { $0.count } == 2)
        subscription.cancel()
    }

    @Test(arguments: StoreKind.allCases)
    func `a handler may cancel its own subscription`(kind: StoreKind) throws {
        let store = try kind.make()
        let listener = Listener()
        let own = Locked<(any Subscription)?>(nil)
        let subscription = try store.store.subscribe(to: bytes("c")) { event in
            listener.hear(event)
            if case .message = event { own.withLock { $0 }?.cancel() }
        }
        own.withLock { $0 = subscription }
        try store.commit([], publish(bytes("a")), publish(bytes("b")))
        _ = listener.wait(for: 2)
        // Returns once the thread that delivers has ended.
        subscription.cancel()
        #expect(
            listener.events.withLock { $0 } == [.established, .message(bytes("1 a"))])
        own.withLock { $0 = nil }
    }

    @Test(arguments: StoreKind.allCases)
    func `messages of eight publishers come in the order of their numbers`(
        kind: StoreKind
    ) throws {
        let fixture = try kind.make()
        let store = fixture.store
        let listener = Listener()
        let subscription = try store.subscribe(to: bytes("c")) { listener.hear($0) }
        defer { subscription.cancel() }
        let message = publish(bytes("m"))
        let publishers = (0..<8).map { number in
            TestThread(name: "publisher \(number)") {
                for _ in 0..<100 { _ = try? store.commit(Batch(mutations: [message])) }
            }
        }
        for publisher in publishers { publisher.join() }
        let expected =
            [.established] + (1...800).map { SubscriptionEvent.message(bytes("\($0) m")) }
        #expect(listener.wait(for: 801) == expected)
    }
}
