import Glibc
import KeyValue
import Primitives
import Telemetry
import TestSupport
import Testing

@testable import Redis

/// A server that is spoken to by TLS.
@Suite struct TLSTests {
    private let authority: TLSAuthority

    init() throws { authority = try TLSAuthority() }

    private func open(
        _ port: Int, host: String = "localhost", timeout: Int = 20_000,
        connectTimeout: Int = 5_000, change: (inout TLSOptions) -> Void = { _ in }
    ) throws -> RedisStore {
        var tls = TLSOptions()
        tls.authorityFile = authority.file
        change(&tls)
        var endpoint = RedisEndpoint(.tcp(host: host, port: port))
        endpoint.tls = tls
        return try RedisStore(
            endpoint: endpoint,
            options: RedisOptions(
                connections: 2, ioTimeoutMilliseconds: timeout,
                connectTimeoutMilliseconds: connectTimeout),
            metrics: Metrics(), logger: quiet)
    }

    /// What opening is refused with; whether it is worth trying again is part of it.
    private func refusal(
        _ port: Int, host: String = "localhost", change: (inout TLSOptions) -> Void = { _ in }
    ) -> String {
        do {
            try open(port, host: host, change: change).close()
            return "let in"
        } catch {
            return isUnavailable(error) ? "unavailable: \(error)" : "\(error)"
        }
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func `blocks of any size come back as they were, and messages arrive`(host: String) throws {
        let (server, port) = try RedisServer.byTLS(authority)
        let store = try open(port, host: host)
        defer { store.close() }
        for count in [0, 1, 16_383, 16_384, 16_385, 126_976, 1 << 20] {
            let payload = Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) })
            _ = try store.storeBlock("b\(count)", payload)
            #expect(try store.loadBlock("b\(count)") == payload)
        }
        let events = Monitor<[SubscriptionEvent]>([])
        let subscription = try store.subscribe(to: bytes("c")) { event in
            events.change { $0.append(event) }
        }
        defer { subscription.cancel() }
        try server.cli("PUBLISH", "c", "text")
        #expect(
            events.wait(until: .after(milliseconds: 10_000)) {
                $0.contains {
                    if case .message(let text) = $0 { text == bytes("text") } else { false }
                }
                    ? () : nil
            } != nil)
        // Nothing of it went by another way.
        #expect(try server.cli("INFO", "clients").contains("connected_clients:"))
        #expect(
            try server.cli("CLIENT", "LIST", "TYPE", "NORMAL").contains("laddr=127.0.0.1:\(port)"))
    }

    @Test func `many threads send and receive over few connections at once`() throws {
        let (server, port) = try RedisServer.byTLS(authority)
        let store = try open(port)
        defer { store.close() }
        let failures = Locked<[String]>([])
        let threads = (0..<8).map { number in
            TestThread(name: "client \(number)") {
                let payload = Bytes(repeating: UInt8(number), count: 300_000 + number)
                for round in 0..<10 {
                    do {
                        _ = try store.storeBlock("b\(number)", payload)
                        if try store.loadBlock("b\(number)") == payload { continue }
                        failures.withLock { $0.append("round \(round): other bytes") }
                    } catch {
                        failures.withLock { $0.append("round \(round): \(error)") }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(try server.cli("DBSIZE") == "8")
    }

    @Test func `a server that cannot prove who it is is refused, with what mends it`() throws {
        let stranger = try TLSAuthority()
        let (good, port) = try RedisServer.byTLS(authority)
        #expect(refusal(port) == "let in")
        #expect(refusal(port) { $0.authorityFile = stranger.file }.contains("--tls-ca"))
        // The system trusts no authority of a test.
        #expect(refusal(port) { $0.authorityFile = nil }.contains("--tls-ca"))
        #expect(refusal(port) { $0.authorityFile = "/none" }.contains("--tls-ca /none"))
        #expect(refusal(port) { $0.serverName = "other.example" }.contains("other.example"))
        #expect(refusal(port, host: "127.0.0.1") { $0.serverName = "localhost" } == "let in")
        let (other, elsewhere) = try RedisServer.byTLS(
            authority, authority.sign("elsewhere", names: "DNS:elsewhere.example"))
        #expect(refusal(elsewhere).contains("connect by a name that it has"))
        #expect(refusal(elsewhere, host: "127.0.0.1").contains("--tls-server-name"))
        #expect(refusal(elsewhere) { $0.serverName = "elsewhere.example" } == "let in")
        let (old, expired) = try RedisServer.byTLS(authority, authority.sign("old", days: -1))
        #expect(refusal(expired).contains("has expired"))
        // Trying again would not help.
        for text in [refusal(elsewhere), refusal(expired)] {
            #expect(!text.contains("unavailable"))
        }
        for port in [port, elsewhere, expired] {
            #expect(
                refusal(port) {
                    $0.authorityFile = stranger.file
                    $0.verifies = false
                } == "let in")
        }
        withExtendedLifetime((good, other, old)) {}
    }

    @Test func `a server without TLS there is refused, with what mends it`() throws {
        let server = try RedisServer(tcp: true)
        let port = try #require(server.port)
        // It answers, closes or waits for the rest of a line, as the random bytes of the greeting will have it.
        #expect {
            try open(port, connectTimeout: 500)
        } throws: { "\($0)".contains("tls-port") }
    }

    @Test
    func `a client without the certificate that the server wants is refused, with what mends it`()
        throws
    {
        let (server, port) = try RedisServer.byTLS(authority, clients: "yes")
        #expect(refusal(port).contains("--tls-cert and --tls-key"))
        let client = try authority.sign("client")
        let stranger = try TLSAuthority().sign("client")
        func show(_ certificate: TLSAuthority.Certificate, _ key: String? = nil) -> String {
            refusal(port) {
                $0.certificateFile = certificate.certificateFile
                $0.keyFile = key ?? certificate.keyFile
            }
        }
        #expect(show(client) == "let in")
        #expect(show(client, client.certificateFile).contains("--tls-key"))
        #expect(show(client, stranger.keyFile).contains("--tls-key"))
        let unknown = try TLSAuthority()
        let made = try unknown.sign("client")
        #expect(show(made).contains("does not accept the certificate of --tls-cert"))
        withExtendedLifetime((server, unknown)) {}
    }

    @Test func `a connection that is cut is made again, and calls go on`() throws {
        let (server, port) = try RedisServer.byTLS(authority)
        let store = try open(port)
        defer { store.close() }
        try store.beginSession()
        try server.cli("CLIENT", "KILL", "TYPE", "normal")
        _ = try store.commit(adding(1))
        #expect(try store.total() == "1")
        server.kill()
        let found = Locked<String?>(nil)
        let waiting = TestThread(name: "waits") {
            do {
                let total = try store.total()
                found.withLock { $0 = total ?? "nothing, since nothing was persistent" }
            } catch {
                found.withLock { $0 = "\(error)" }
            }
        }
        try server.start()
        waiting.join()
        #expect(found.withLock { $0 } == "nothing, since nothing was persistent")
    }

    @Test func `a server that is silent is given up in time, before and after the handshake`()
        throws
    {
        let (server, port) = try RedisServer.byTLS(authority)
        let store = try open(port, timeout: 1_000)
        defer { store.close() }
        #expect(try store.total() == nil)
        server.pause()
        defer { server.continue() }
        let begin = Deadline.now
        #expect { try store.total() } throws: { isUnavailable($0) }
        #expect { try open(port, timeout: 1_000, connectTimeout: 300) } throws: {
            "\($0)".contains("does not answer") && isUnavailable($0)
        }
        #expect(!begin.advanced(byMilliseconds: 10_000).hasPassed)
    }

    @Test func `sentinels are asked by TLS, too`() throws {
        let (server, port) = try RedisServer.byTLS(authority)
        let sentinelPort = try RedisServer.freePort()
        let words = authority.arguments(try authority.sign("sentinel"), port: sentinelPort)
        let lines = stride(from: 0, to: words.count, by: 2).map {
            "\(words[$0].dropFirst(2)) \(words[$0 + 1])"
        }
        let sentinel = try RedisServer(
            sentinel: lines + ["tls-replication yes", "sentinel monitor p 127.0.0.1 \(port) 1"])
        let group = try #require(
            SentinelGroup([.tcp(host: "localhost", port: sentinelPort)], primary: "p"))
        var endpoint = RedisEndpoint(.sentinels(group))
        var tls = TLSOptions()
        tls.authorityFile = authority.file
        endpoint.tls = tls
        #expect("\(endpoint)".hasPrefix("rediss-sentinel://localhost:"))
        let store = try RedisStore(
            endpoint: endpoint, options: RedisOptions(), metrics: Metrics(), logger: quiet)
        defer { store.close() }
        #expect(try store.total() == nil)
        withExtendedLifetime((server, sentinel)) {}
    }
}
