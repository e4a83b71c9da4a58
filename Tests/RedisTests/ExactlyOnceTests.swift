import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

@Suite struct ExactlyOnceTests {
    @Test func `a batch with an id whose answer was lost takes effect once`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path)
        defer { store.close() }
        try store.beginSession()
        for sequence in 1...20 as ClosedRange<UInt64> {
            proxy.cutAnswer(toRequestWith: "EVALSHA")
            #expect(try store.commit(adding(sequence)) == .committed(sums: [Int64(sequence)]))
        }
        #expect(proxy.cutCount == 20)
        #expect(try store.total() == "20")
    }

    @Test func `a batch without an id whose answer was lost is not sent again`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path)
        defer { store.close() }
        let batch = Batch(mutations: [.increment(key: bytes("h"), field: bytes("n"), by: 1)])
        proxy.cutAnswer(toRequestWith: "EVALSHA")
        #expect { try store.commit(batch) } throws: { isUnavailable($0) }
        #expect(try store.total() == "1")
        // The next one finds a lost connection, or a new one, but has not been sent on the old one.
        #expect(try store.commit(batch) == .committed(sums: [2]))
    }

    @Test func `blocks and a batch whose answer was lost are stored and happen once`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path, connections: 1)
        defer { store.close() }
        try store.beginSession()
        for sequence in 1...5 as ClosedRange<UInt64> {
            let payload = Bytes(repeating: UInt8(sequence), count: 300_000)
            proxy.cutAnswer(toRequestWith: "EVALSHA")
            #expect(
                try store.storeBlock("b", payload, then: adding(sequence)).batch
                    == .committed(sums: [Int64(sequence)]))
            #expect(try store.loadBlock("b") == payload)
        }
        #expect(proxy.cutCount == 5)
        #expect(try store.total() == "5")
    }

    @Test
    func `a staged replacement whose answer was lost is found done and leaves nothing staged`()
        throws
    {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path, connections: 1)
        defer { store.close() }
        let payload = Bytes(repeating: 4, count: 100_000)
        func replace(expecting expected: InlineBlockHeader?) throws -> StoreOutcome.Write? {
            try payload.withUnsafeBytes { payload in
                try store.store(
                    [
                        BlockWrite(
                            key: bytes("b"),
                            kind: .replaceMatching(
                                header: .init(low: 9, high: 9), expected: expected),
                            payload: payload)
                    ], then: nil
                ).writes.first
            }
        }
        proxy.cutAnswer(toRequestWith: "RENAME")
        #expect(try replace(expecting: nil) == .stored(created: true))
        _ = try store.storeBlock("b", [1])
        proxy.cutAnswer(toRequestWith: "RENAME")
        #expect(try replace(expecting: .init(low: 1, high: 2)) == .stored(created: false))
        #expect(proxy.cutCount == 2)
        #expect(try store.loadBlock("b") == payload)
        #expect(try server.cli("DBSIZE") == "1")
    }

    @Test func `reads whose answer was lost are asked again`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let metrics = Metrics()
        let store = try connect(proxy.path, connections: 1, metrics: metrics)
        defer { store.close() }
        _ = try store.storeBlock("b", Bytes(repeating: 7, count: 1_000_000))
        let before = store.roundTrips
        proxy.cutAnswer(toRequestWith: "GET")
        #expect(try store.loadBlock("b") == Bytes(repeating: 7, count: 1_000_000))
        proxy.cutAnswer(toRequestWith: "TIME")
        #expect(try store.read([.existence(keys: [bytes("b")]), .time]).first == .existing([true]))
        #expect(store.roundTrips == before + 2)
        #expect(proxy.cutCount == 2)
        #expect(metrics.value(of: .storeReconnects) == 2)
    }

    private struct Progress {
        var running: Int
        var commits = 0
    }

    @Test
    func `callers at once lose their connection at random moments, and nothing happens twice`()
        throws
    {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let store = try connect(proxy.path)
        defer { store.close() }
        try store.beginSession()
        let failures = Locked<[String]>([])
        let progress = Monitor(Progress(running: 6))
        let callers = (0..<6).map { slot in
            TestThread(name: "caller") {
                defer { progress.change { $0.running -= 1 } }
                do {
                    for sequence in 1...300 as ClosedRange<UInt64> {
                        _ = try store.commit(adding(slot: slot, sequence))
                        progress.change { $0.commits += 1 }
                    }
                } catch {
                    failures.withLock { $0.append("\(error)") }
                }
            }
        }
        // Cuts again after 1 to 40 further commits: cutting the first answer of each connection
        // would let nobody ever get on.
        var goal = 0
        while progress.withLock({ $0.running > 0 }) {
            proxy.cutAnswer(toRequestWith: "EVALSHA")
            goal += .random(in: 1...40)
            _ = progress.wait(until: .after(milliseconds: 60_000)) {
                $0.commits >= goal || $0.running == 0 ? () : nil
            }
        }
        for caller in callers { caller.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(try store.total() == "1800")
        #expect(proxy.cutCount > 3)
    }

    @Test func `a server killed and started again in mid-call loses and repeats nothing`() throws {
        let server = try RedisServer(arguments: ["--appendonly", "yes", "--appendfsync", "always"])
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        let progress = Monitor([Int](repeating: 0, count: 4))
        let failures = Locked<[String]>([])
        let callers = (0..<4).map { slot in
            TestThread(name: "caller") {
                for sequence in 1...200 as ClosedRange<UInt64> {
                    do {
                        _ = try store.commit(adding(slot: slot, sequence))
                        progress.change { $0[slot] += 1 }
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                        return
                    }
                }
            }
        }
        for round in 1...3 {
            _ = progress.wait(until: .after(milliseconds: 20_000)) { progress in
                progress.reduce(0, +) >= round * 150 ? () : nil
            }
            server.kill()
            try server.start()
        }
        for caller in callers { caller.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(try store.total() == "800")
    }

    @Test func `a write that was given up does not land on a later one`() throws {
        let server = try RedisServer()
        let store = try connect(server.path, ioTimeoutMilliseconds: 300)
        defer { store.close() }
        for round in 1...10 as ClosedRange<UInt8> {
            // Fits into the socket's buffer, so that it waits there while the server is stopped.
            server.pause()
            #expect { try store.storeBlock("b", Bytes(repeating: 0, count: 100_000)) } throws: {
                isUnavailable($0)
            }
            server.continue()
            let newer = Bytes(repeating: round, count: 100)
            #expect(
                try eventually {
                    // A slow machine may need another attempt within the short time limit.
                    do { return try store.storeBlock("b", newer).writes.count == 1 } catch {
                        guard isUnavailable(error) else { throw error }
                        return false
                    }
                })
            #expect(try store.loadBlock("b") == newer)
        }
    }
}
