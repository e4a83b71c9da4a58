import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

@Suite struct TripCountTests {
    @Test func `a batch like create is one round trip and one command`() throws {
        let server = try RedisServer()
        let metrics = Metrics()
        let store = try connect(server.path, metrics: metrics)
        defer { store.close() }
        try store.beginSession()
        try server.cli("CONFIG", "RESETSTAT")
        let (trips, commands) = (store.roundTrips, metrics.value(of: .storeCommands))
        let outcome = try store.commit(
            Batch(
                id: BatchID(session: session, slot: 1, sequence: 1),
                conditions: [
                    .keyAbsent(bytes("{v}i17")),
                    .fieldAbsent(key: bytes("{v}d1"), field: bytes("name")),
                ],
                mutations: [
                    .setFields(key: bytes("{v}i17"), [Pair("m", "33188"), Pair("s", "0")]),
                    .setFields(key: bytes("{v}d1"), [Pair("name", "17:8")]),
                    .setFields(key: bytes("{v}i1"), [Pair("t", "1")]),
                    .publish(
                        channel: bytes("{v}c"), key: bytes("{v}"), field: bytes("c"),
                        message: bytes("e")),
                ]))
        #expect(outcome == .committed(sums: [1]))
        #expect(store.roundTrips == trips + 1)
        #expect(metrics.value(of: .storeCommands) == commands + 1)
        let statistics = try server.cli("INFO", "commandstats")
        #expect(statistics.contains("cmdstat_evalsha:calls=1,"))
        #expect(statistics.contains("cmdstat_hset:calls=4,"))
        #expect(statistics.contains("cmdstat_hlen:calls=1,"))
    }

    @Test func `a subscription that may wait wakes up once for many messages`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        let heard = Monitor(0)
        let rests = Monitor(0)
        let subscription = try store.subscribe(to: bytes("c")) { event in
            if case .message = event { heard.change { $0 += 1 } }
        }
        defer { subscription.cancel() }
        subscription.setPatience {
            rests.change { $0 += 1 }
            return 100
        }
        let batch = Batch(mutations: [
            .publish(channel: bytes("c"), key: bytes("h"), field: bytes("n"), message: bytes("m"))
        ])
        for _ in 0..<200 { _ = try store.commit(batch) }
        let count: Int? = heard.wait(until: .after(milliseconds: 20_000)) { $0 == 200 ? $0 : nil }
        #expect(count == 200)
        #expect(rests.withLock { $0 } < 100)
    }

    @Test func `blocks and metadata use connections of their own, made when needed`() throws {
        let server = try RedisServer()
        let store = try connect(server.path, connections: 4)
        defer { store.close() }
        func connections() throws -> Int {
            try server.cli("CLIENT", "LIST").split(separator: "\n").filter {
                $0.contains("name=a-test")
            }.count
        }
        try store.beginSession()
        #expect(try connections() == 1)
        _ = try store.storeBlock("b", [1])
        _ = try store.loadBlock("b")
        #expect(try connections() == 2)
    }

    @Test func `a metadata call does not wait for a bulk transfer`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path, connections: 1)
        defer { store.close() }
        let payload = Bytes(repeating: 1, count: 1 << 20)
        for number in 0..<64 { _ = try store.storeBlock("b\(number)", payload) }
        let isLoaded = Locked(false)
        let loader = TestThread(name: "loader") {
            var memory = Bytes(repeating: 0, count: 64 << 20)
            memory.withUnsafeMutableBytes { buffer in
                _ = try? store.load(
                    (0..<64).map { number in
                        BlockLoad(
                            key: bytes("b\(number)"),
                            destination: .init(rebasing: buffer[number << 20..<(number + 1) << 20]))
                    })
            }
            isLoaded.withLock { $0 = true }
        }
        var duringTransfer = 0
        while !isLoaded.withLock({ $0 }) {
            _ = try store.read([.time])
            duringTransfer += 1
        }
        loader.join()
        // On one connection it would be one call at most.
        #expect(duringTransfer > 3)
    }
}
