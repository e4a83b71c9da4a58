import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

@Suite struct OutageTests {
    @Test func `a server that does not answer costs the deadline and no more`() throws {
        let server = try RedisServer()
        let store = try connect(server.path, ioTimeoutMilliseconds: 300)
        defer { store.close() }
        _ = try store.storeBlock("b", [1])
        server.pause()
        let begin = Deadline.now
        #expect { try store.read([.time]) } throws: { isUnavailable($0) }
        #expect { try store.loadBlock("b") } throws: { isUnavailable($0) }
        let milliseconds =
            (Deadline.now.monotonicNanoseconds - begin.monotonicNanoseconds) / 1_000_000
        #expect((550...10_000).contains(milliseconds))
        server.continue()
        #expect(eventually { (try? store.loadBlock("b")) == [1] })
    }

    @Test func `calls wait for a server that is away and go on when it is back`() throws {
        let server = try RedisServer()
        let metrics = Metrics()
        let store = try connect(server.path, metrics: metrics)
        defer { store.close() }
        try store.beginSession()
        server.stop()
        let answers = Monitor<[String]>([])
        let callers = (0..<4).map { number in
            TestThread(name: "caller") {
                let answer: String
                do {
                    answer = "\(try store.read([.existence(keys: [bytes("\(number)")])]))"
                } catch {
                    answer = "\(error)"
                }
                answers.change { $0.append(answer) }
            }
        }
        #expect(answers.wait(until: .after(milliseconds: 100)) { $0.isEmpty ? nil : () } == nil)
        try server.start()
        for caller in callers { caller.join() }
        #expect(
            answers.withLock { $0 }
                == [String](repeating: "\([ReadAnswer.existing([false])])", count: 4))
        #expect(metrics.value(of: .storeReconnects) == 1)
    }

    /// The median of some rounds, because the machine may be busy.
    @Test func `a call that waits is answered within 100 ms of the server's return`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        let answered = Monitor<Deadline?>(nil)
        var milliseconds: [Int64] = []
        for _ in 0..<9 {
            let next = try server.prepareStart()
            server.kill()
            answered.change { $0 = nil }
            let caller = TestThread(name: "caller") {
                do throws(StoreError) {
                    _ = try store.read([.time])
                    answered.change { $0 = .now }
                } catch {
                    answered.change { $0 = Deadline(monotonicNanoseconds: .max) }
                }
            }
            // So long that the pauses between attempts have grown to their limit.
            let early: Void? = answered.wait(until: .after(milliseconds: 300)) {
                $0 == nil ? nil : ()
            }
            #expect(early == nil)
            try next.begin()
            let returned = Deadline.now
            caller.join()
            let end = try #require(answered.withLock { $0 })
            milliseconds.append(
                (end.monotonicNanoseconds - returned.monotonicNanoseconds) / 1_000_000)
        }
        print("answered so many milliseconds after the server's return: \(milliseconds)")
        #expect(milliseconds.sorted()[4] <= 100)
    }

    @Test func `connections that an administrator ended are made again unnoticed`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        for sequence in 1...5 as ClosedRange<UInt64> {
            try server.cli("CLIENT", "KILL", "TYPE", "normal")
            #expect(try store.commit(adding(sequence)) == .committed(sums: [Int64(sequence)]))
            #expect(try store.storeBlock("b", [1]).writes == [.stored(created: nil)])
        }
    }

    @Test func `closing ends calls that wait`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        server.pause()
        let outcome = Monitor<StoreError?>(nil)
        let caller = TestThread(name: "caller") {
            do throws(StoreError) {
                _ = try store.read([.time])
            } catch {
                outcome.change { $0 = error }
            }
        }
        // The call may be under way or not; it ends as closed both ways.
        store.close()
        caller.join()
        #expect(outcome.withLock { $0 } == .closed)
    }

    @Test func `an emptied script cache is filled again`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        func forget() throws { try server.cli("SCRIPT", "FLUSH") }
        try forget()
        #expect(try store.commit(adding(1)) == .committed(sums: [1]))
        try forget()
        #expect(try store.storeBlock("b", [1], then: adding(2)).batch == .committed(sums: [2]))
        try forget()
        #expect(
            try store.read([
                .time, .follow(key: bytes("h"), field: bytes("n"), prefix: bytes("x")),
            ]).last == .followed(value: bytes("2"), target: []))
        try forget()
        let writes = try Bytes([9]).withUnsafeBytes { payload in
            try store.store(
                [
                    BlockWrite(
                        key: bytes("b"),
                        kind: .replaceMatching(
                            header: .init(low: 5, high: 5), expected: .init(low: 1, high: 2)),
                        payload: payload),
                    BlockWrite(
                        key: bytes("c"),
                        kind: .patchMatching(
                            header: .init(low: 1, high: 2), comparing: 16, offset: 0),
                        payload: payload),
                ], then: nil
            ).writes
        }
        #expect(writes == [.stored(created: false), .stored(created: true)])
        #expect(try server.cli("EXISTS", "b~") == "0")
    }

    @Test func `a busy server is waited for`() throws {
        let server = try RedisServer(arguments: ["--busy-reply-threshold", "1"])
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        let script = """
            local t = redis.call('TIME'); local now = t
            repeat now = redis.call('TIME')
            until (now[1] - t[1]) * 1000000 + now[2] - t[2] > 400000
            return 'slow'
            """
        let slow = Locked("")
        let other = TestThread(name: "slow script") {
            let answer = (try? server.cli("EVAL", script, "0")) ?? "failed"
            slow.withLock { $0 = answer }
        }
        #expect(try eventually { try server.cli("PING").hasPrefix("BUSY") })
        #expect(try store.commit(adding(1)) == .committed(sums: [1]))
        #expect(try store.storeBlock("b", [1], then: adding(2)).batch == .committed(sums: [2]))
        other.join()
        #expect(slow.withLock { $0 } == "slow")
    }

    @Test func `a server that loads its data is waited for`() throws {
        let server = try RedisServer(arguments: [
            "--appendonly", "yes", "--key-load-delay", "2000",
            "--loading-process-events-interval-bytes",
            "1024",
        ])
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        for number in 0..<200 {
            _ = try store.commit(
                Batch(mutations: [
                    .set(key: bytes("\(number)"), value: Bytes(repeating: 1, count: 100))
                ]))
        }
        try server.cli("BGREWRITEAOF")
        #expect(
            try eventually {
                try server.cli("INFO", "persistence").contains("rewrite_in_progress:0")
            })
        try server.restart()
        #expect(try store.total() == nil)
        #expect(try store.commit(adding(1)) == .committed(sums: [1]))
        try server.restart()
        let second = try connect(server.path)
        defer { second.close() }
        #expect(try second.total() == "1")
    }

    /// A volume's lists must not become unreadable for a score that somebody else set.
    @Test func `scores that no batch can store are read as the nearest whole number`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        try server.cli("ZADD", "z", "-inf", "a", "-0.5", "b", "0.5", "c", "5e17", "d")
        let answer = try store.read([.members(key: bytes("z"), upTo: .max, limit: 9)])
        #expect(
            answer == [
                .members([
                    Member(bytes("a"), score: -1 << 53), Member(bytes("b"), score: -1),
                    Member(bytes("c"), score: 0), Member(bytes("d"), score: 1 << 53),
                ])
            ])
    }

    @Test func `a full disk of the append-only file is a full store`() throws {
        let text = "MISCONF Errors writing to the AOF file: No space left on device"
        #expect(Reply.error(bytes(text)).failure == .outOfMemory)
        let other = "MISCONF Errors writing to the AOF file: Input/output error"
        #expect(Reply.error(bytes(other)).failure == .unavailable(other))
    }

    @Test func `a replica takes no changes and says so`() throws {
        let primary = try RedisServer(tcp: true)
        let port = try #require(primary.port)
        let replica = try RedisServer(arguments: ["--replicaof", "127.0.0.1", "\(port)"])
        #expect(
            try eventually { try replica.cli("INFO", "replication").contains("link_status:up") })
        let writer = try connect(primary.path)
        defer { writer.close() }
        try writer.beginSession()
        _ = try writer.storeBlock("b", [5])
        #expect(try eventually { try replica.cli("EXISTS", "b") == "1" })
        let store = try connect(replica.path)
        defer { store.close() }
        #expect(throws: StoreError.readOnly) { try store.commit(adding(1)) }
        #expect(throws: StoreError.readOnly) { try store.storeBlock("b", [1]) }
        #expect(throws: StoreError.readOnly) { try store.storeBlock("b", [1], then: adding(1)) }
        #expect(throws: StoreError.readOnly) { try store.drop([bytes("b")]) }
        #expect(try store.loadBlock("b") == [5])
        #expect(
            try store.read([.follow(key: session, field: bytes("host"), prefix: bytes("x"))])
                == [.followed(value: bytes("a"), target: [])])
        #expect(try store.status().isReadOnly)
        #expect(try !writer.status().isReadOnly)
    }

    @Test func `a connection of one's own waits for a server that loads its data`() throws {
        let server = try RedisServer(arguments: [
            // A tenth of a second for each key, between which the server answers.
            "--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024",
            "--rdbcompression", "no",
        ])
        try server.cli("DEBUG", "POPULATE", "12", "k", "4000")
        try server.cli("SAVE")
        var options = RedisOptions(ioTimeoutMilliseconds: 20_000)
        options.loadsScripts = false
        let store = try RedisStore(
            endpoint: RedisEndpoint(.unix(path: server.path)), options: options,
            metrics: Metrics(), logger: quiet)
        defer { store.close() }
        server.kill()
        try server.start()
        #expect(try server.cli("INFO", "persistence").contains("loading:1"))
        let session = try store.makeSession()
        #expect(try session.perform([RedisCommand("EXISTS", bytes("k:11"))]) == [.integer(1)])
    }

    @Test func `a subscription survives a server that refuses PING`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        let events = Monitor<[SubscriptionEvent]>([])
        let subscription = try store.subscribe(to: bytes("c")) { event in
            events.change { $0.append(event) }
        }
        defer { subscription.cancel() }
        // As one does whose disk is full.
        try server.cli("ACL", "SETUSER", "default", "-ping")
        #expect(try eventually { try server.cli("ACL", "LOG").contains("ping") })
        try server.cli("PUBLISH", "c", "text")
        let heard = events.wait(until: .after(milliseconds: 10_000)) {
            $0.count >= 2 ? $0 : nil
        }
        #expect(heard == [.established, .message(bytes("text"))])
    }

    @Test func `a subscription that was cut says so and comes back`() throws {
        let server = try RedisServer()
        let store = try connect(server.path)
        defer { store.close() }
        let events = Monitor<[SubscriptionEvent]>([])
        let subscription = try store.subscribe(to: bytes("c")) { event in
            events.change { $0.append(event) }
        }
        defer { subscription.cancel() }
        func publish(_ message: String) throws {
            _ = try store.commit(
                Batch(mutations: [
                    .publish(
                        channel: bytes("c"), key: bytes("h"), field: bytes("n"),
                        message: bytes(message))
                ]))
        }
        func wait(for count: Int) -> [SubscriptionEvent]? {
            events.wait(until: .after(milliseconds: 20_000)) { $0.count >= count ? $0 : nil }
        }
        try publish("a")
        #expect(wait(for: 2)?.last == .message(bytes("1 a")))
        try server.cli("CLIENT", "KILL", "TYPE", "pubsub")
        #expect(wait(for: 4)?.suffix(2) == [.interrupted, .established])
        try publish("b")
        #expect(wait(for: 5)?.last == .message(bytes("2 b")))
        server.kill()
        #expect(wait(for: 6)?.last == .interrupted)
        try server.start()
        #expect(wait(for: 7)?.last == .established)
        try publish("c")
        #expect(wait(for: 8)?.last == .message(bytes("1 c")))
        #expect(wait(for: 8)?.count == 8)
    }
}
