import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

/// A store by Redis Sentinel, on real servers.
@Suite struct SentinelTests {
    private func open(
        _ sentinels: [RedisServer], name: String = SentinelDeployment.name, timeout: Int = 20_000,
        connectTimeout: Int = 5_000,
        change: (inout RedisEndpoint, inout RedisOptions) -> Void = { _, _ in }
    ) throws -> RedisStore {
        let hosts = sentinels.map {
            RedisEndpoint.Address.tcp(host: "127.0.0.1", port: $0.port ?? 0)
        }
        let group = try #require(SentinelGroup(hosts, primary: name))
        var endpoint = RedisEndpoint(.sentinels(group))
        var options = RedisOptions(
            connections: 2, ioTimeoutMilliseconds: timeout,
            connectTimeoutMilliseconds: connectTimeout)
        change(&endpoint, &options)
        return try RedisStore(
            endpoint: endpoint, options: options, metrics: Metrics(), logger: quiet)
    }

    @Test func `calls wait for a failover and go on at the new primary, subscriptions too`() throws
    {
        let deployment = try SentinelDeployment()
        // A sentinel that is there and silent is passed over in time.
        let silent = try RedisServer(sentinel: [])
        silent.pause()
        defer { silent.continue() }
        let store = try open([silent] + deployment.sentinels) { $1.replicas = 1 }
        defer { store.close() }
        try store.beginSession()
        let events = Monitor<[SubscriptionEvent]>([])
        let subscription = try store.subscribe(to: bytes("c")) { event in
            events.change { $0.append(event) }
        }
        defer { subscription.cancel() }
        #expect(try store.storeBlock("b", [1, 2], then: adding(1)).batch == .committed(sums: [1]))

        let old = try deployment.primary.prepareStart()
        deployment.primary.kill()
        // Waits for the sentinels, without replicas to wait for.
        #expect(try store.commit(adding(2)) == .committed(sums: [2]))
        #expect(try store.loadBlock("b") == [1, 2])
        try deployment.waitForFailover()
        #expect(try deployment.primary.cli("HGET", "h", "n") == "2")
        // Nobody follows an old primary that comes back.
        try old.begin()
        #expect(try store.commit(adding(3)) == .committed(sums: [3]))
        #expect(try deployment.primary.cli("HGET", "h", "n") == "3")
        let isBack = events.wait(until: .after(milliseconds: 20_000)) {
            $0 == [.established, .interrupted, .established] ? true : nil
        }
        #expect(isBack == true, "\(events.withLock { $0 })")
    }

    @Test func `a demoted primary is left, whatever it answers`() throws {
        let deployment = try SentinelDeployment()
        let store = try open(deployment.sentinels) { $1.replicas = 1 }
        defer { store.close() }
        try store.beginSession()
        #expect(try store.storeBlock("b", [1], then: adding(1)).batch == .committed(sums: [1]))
        // By hand: the connections stay, and the server answers READONLY.
        let second = deployment.replica
        try second.cli("REPLICAOF", "NO", "ONE")
        try deployment.primary.cli("REPLICAOF", "127.0.0.1", "\(second.port ?? 0)")
        let sentinel = deployment.sentinels[0]
        let name = SentinelDeployment.name
        try sentinel.cli("SENTINEL", "REMOVE", name)
        try sentinel.cli("SENTINEL", "MONITOR", name, "127.0.0.1", "\(second.port ?? 0)", "1")
        #expect(try store.commit(adding(2)) == .committed(sums: [2]))
        #expect(try second.cli("HGET", "h", "n") == "2")
        #expect(try store.storeBlock("b", [2]).writes == [.stored(created: nil)])
        #expect(try store.loadBlock("b") == [2])
    }

    @Test func `a server that is no primary is given up in time, unless nothing is to be changed`()
        throws
    {
        let deployment = try SentinelDeployment()
        let port = deployment.replica.port ?? 0
        // It is asked rarely what it watches: to it the replica is a primary for ten seconds.
        let stale = try RedisServer(sentinel: [
            "sentinel monitor stale 127.0.0.1 \(port) 2"
        ])
        let start = Deadline.now
        #expect {
            try open([stale], name: "stale", connectTimeout: 500)
        } throws: { "\($0)".contains("no primary of stale any more") && isUnavailable($0) }
        #expect(start.advanced(byMilliseconds: 10_000) > .now)
        let reader = try open([stale], name: "stale") { $1.acceptsReplica = true }
        defer { reader.close() }
        #expect(try reader.total() == nil)
        #expect(throws: StoreError.readOnly) {
            try reader.commit(Batch(mutations: [.set(key: bytes("k"), value: [1])]))
        }
    }

    @Test func `sentinels get a password when they ask for it`() throws {
        let deployment = try SentinelDeployment(password: "guard")
        func total(
            _ user: String?, _ password: String?, _ sentinelPassword: String?
        ) throws -> String? {
            let store = try open(deployment.sentinels, connectTimeout: 1_000) { endpoint, _ in
                endpoint.user = user
                endpoint.password = password
                endpoint.sentinelPassword = sentinelPassword
            }
            defer { store.close() }
            return try store.total()
        }
        #expect(try total(nil, nil, "guard") == nil)
        #expect { try total(nil, nil, nil) } throws: { "\($0)".contains("wants a password") }
        #expect { try total(nil, nil, "wrong") } throws: {
            "\($0)".contains("WRONGPASS") && !"\($0)".contains("wrong ")
        }
        // That of the server, without one of their own.
        let user = ["ACL", "SETUSER", "alice", "on", ">wonder", "~*", "&*", "+@all"]
        try deployment.primary.cli(words: user)
        #expect { try total("alice", "wonder", nil) } throws: { "\($0)".contains("WRONGPASS") }
        try deployment.sentinels[0].cli(words: ["--no-auth-warning", "-a", "guard"] + user)
        #expect(try total("alice", "wonder", nil) == nil)
        #expect(try total("alice", "wonder", "guard") == nil)
    }

    @Test func `what no sentinel says is an error, not a crash`() throws {
        let deployment = try SentinelDeployment()
        #expect { try open(deployment.sentinels, name: "other") } throws: {
            "\($0)".contains("knows no primary") && isUnavailable($0)
        }
        // Redis itself is no sentinel.
        #expect { try open([deployment.primary]) } throws: {
            "\($0)".contains("unknown command") && isUnavailable($0)
        }
        deployment.sentinels[0].kill()
        #expect { try open(deployment.sentinels) } throws: { "\($0)".contains("refused") }
    }
}
