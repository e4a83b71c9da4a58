import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

@Suite struct ConnectTests {
    private func open(_ endpoint: RedisEndpoint) throws -> RedisStore {
        try RedisStore(
            endpoint: endpoint, options: RedisOptions(connectTimeoutMilliseconds: 5_000),
            metrics: Metrics(), logger: quiet)
    }

    @Test func `a server is reached by TCP and by unix socket`() throws {
        let server = try RedisServer(tcp: true)
        let port = try #require(server.port)
        for address: RedisEndpoint.Address in [
            .tcp(host: "127.0.0.1", port: port), .tcp(host: "localhost", port: port),
            .unix(path: server.path),
        ] {
            let store = try open(RedisEndpoint(address))
            defer { store.close() }
            let payload = Bytes(repeating: 3, count: 1 << 20)
            #expect(try store.storeBlock("b", payload).writes == [.stored(created: nil)])
            #expect(try store.loadBlock("b") == payload)
            #expect(try store.status().product == "redis 7.0.15")
        }
    }

    @Test func `databases are apart`() throws {
        let server = try RedisServer()
        for database in [0, 3] {
            let store = try open(
                RedisEndpoint(.unix(path: server.path), database: database))
            defer { store.close() }
            #expect(try store.total() == nil)
            _ = try store.commit(
                Batch(mutations: [.increment(key: bytes("h"), field: bytes("n"), by: 1)]))
        }
        #expect(try server.cli("-n", "3", "HGET", "h", "n") == "1")
        #expect {
            try open(RedisEndpoint(.unix(path: server.path), database: 99))
        } throws: { "\($0)".contains("DB index is out of range") }
    }

    @Test func `users are let in by password, and nobody else`() throws {
        let server = try RedisServer(arguments: [
            "--requirepass", "se cret\"1", "--user", "alice", "on", ">wonder", "~*", "&*", "+@all",
            "--user", "bob", "on", ">build", "~*", "+@read", "+@connection", "+script", "+evalsha",
            "+evalsha_ro",
        ])
        func open(_ user: String?, _ password: String?) throws -> RedisStore {
            try self.open(
                RedisEndpoint(.unix(path: server.path), user: user, password: password))
        }
        for (user, password) in [
            (nil, "se cret\"1"), ("alice", "wonder"), ("default", "se cret\"1"),
        ] {
            let store = try open(user, password)
            defer { store.close() }
            #expect(try store.total() == nil)
            #expect(try store.status().product == "redis 7.0.15")
        }
        for (user, password) in [
            (nil, nil), (nil, "wrong"), ("alice", "se cret\"1"), ("nobody", "wonder"),
        ] {
            #expect { try open(user, password) } throws: { error in
                guard case StoreError.notAuthorized(let text)? = error as? StoreError else {
                    return false
                }
                return !text.contains("cret") && !text.contains("wonder")
            }
        }
        // A user who may read but not ask about the server: what is unknown is taken for the worse.
        let reader = try open("bob", "build")
        defer { reader.close() }
        #expect(try reader.total() == nil)
        let status = try reader.status()
        #expect(status.mayEvict && status.persistence == .none && status.limitBytes == 0)
        #expect(status.product == "redis 7.0.15")
        #expect {
            try reader.commit(Batch(mutations: [.set(key: bytes("k"), value: [1])]))
        } throws: {
            if case StoreError.notAuthorized? = $0 as? StoreError { true } else { false }
        }
    }

    @Test func `a password shows nowhere`() {
        let endpoint = RedisEndpoint(
            .tcp(host: "::1", port: 6_380), user: "alice", password: "wonder", database: 2)
        #expect("\(endpoint)" == "redis://alice@[::1]:6380/2")
        var dumped = ""
        dump(endpoint, to: &dumped)
        #expect(!dumped.contains("wonder"))
        #expect(!String(reflecting: endpoint).contains("wonder"))
        #expect(!"\([endpoint])\(Optional(endpoint) as Any)".contains("wonder"))
    }

    @Test func `nobody there is said at once`() throws {
        let directory = try TemporaryDirectory()
        let begin = Deadline.now
        #expect {
            try open(RedisEndpoint(.unix(path: directory.path + "/none.sock")))
        } throws: { "\($0)".contains("No such file") && isUnavailable($0) }
        #expect {
            try open(RedisEndpoint(.unix(path: String(repeating: "x", count: 200))))
        } throws: { "\($0)".contains("107") }
        #expect(begin.advanced(byMilliseconds: 4_000).hasPassed == false)
    }

    @Test func `a server that accepts and says nothing is given up`() throws {
        let server = try RedisServer()
        server.pause()
        defer { server.continue() }
        #expect {
            try connect(server.path, connectTimeoutMilliseconds: 200)
        } throws: { "\($0)".contains("does not answer") && isUnavailable($0) }
    }

    private static func hello(_ version: String) -> Bytes {
        let words = ["server", "redis", "version", version, "role", "master"]
        return bytes(
            "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined())
    }

    @Test(arguments: [
        (hello("6.2.14"), "6.2.14"), (bytes("-ERR unknown command `HELLO`\r\n"), "older than 6"),
        (hello("unstable"), "version"), (bytes("+OK\r\n"), "greeting"),
        (bytes("HTTP/1.1 400 Bad Request\r\n\r\n"), "malformed reply"),
    ])
    func `a server that is too old or none at all is refused by name`(
        greeting: Bytes, expected: String
    ) throws {
        let server = try ScriptedServer(replies: [greeting])
        #expect { try connect(server.path) } throws: { "\($0)".contains(expected) }
    }

    @Test func `the status tells limit, eviction and persistence`() throws {
        let server = try RedisServer(arguments: [
            "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes",
            "--appendfsync", "always",
        ])
        let store = try connect(server.path)
        defer { store.close() }
        var status = try store.status()
        #expect(status.limitBytes == 100 << 20)
        #expect(status.usedBytes > 100_000 && status.machineBytes > 100 << 20)
        #expect(status.mayEvict && status.persistence == .always && !status.isReadOnly)
        try server.cli("CONFIG", "SET", "appendfsync", "everysec")
        try server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
        status = try store.status()
        #expect(!status.mayEvict && status.persistence == .everySecond)
        try server.cli("CONFIG", "SET", "appendonly", "no")
        #expect(try store.status().persistence == .none)
        try server.cli("CONFIG", "SET", "save", "60 1")
        #expect(try store.status().persistence == .snapshots)
    }
}
