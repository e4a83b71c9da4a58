import KeyValue
import Testing

@testable import Redis

@Suite struct SentinelDecisionTests {
    private func list(_ words: String...) -> Reply { .array(words.map { .bulk(Bytes($0.utf8)) }) }

    @Test func `an answer is an address, or not`() {
        let cases: [(Reply, SentinelAnswer)] = [
            (list("10.0.0.1", "6379"), .primary(.tcp(host: "10.0.0.1", port: 6_379))),
            (list("fe80::1%eth0", "1"), .primary(.tcp(host: "fe80::1%eth0", port: 1))),
            (
                list("redis-1.example", "65535"),
                .primary(.tcp(host: "redis-1.example", port: 65_535))
            ),
            (.null, .unknownName),
            (.error(Bytes("NOAUTH Authentication required.".utf8)), .wantsPassword),
            (.error(Bytes("ERR unknown command".utf8)), .useless("ERR unknown command")),
            (.error(Bytes("ERR a\u{1b}[2J\nb".utf8)), .useless("ERR a[2Jb")),
            (
                .error(Bytes(repeating: 120, count: 70_000)),
                .useless(String(repeating: "x", count: 200))
            ),
        ]
        for (reply, answer) in cases { #expect(SentinelAnswer(reply) == answer) }
    }

    @Test func `a malformed answer is no address`() {
        let long = String(repeating: "h", count: 256)
        for reply: Reply in [
            list(), list("h"), list("h", "1", "2"), list("", "1"), list("h", ""), list("h", "0"),
            list("h", "65536"), list("h", "-1"), list("h", "1 "), list("h", "x"), list("h i", "1"),
            list("h\0", "1"), list("h\n", "1"), list("é", "1"), list(long, "1"),
            .array([.bulk([104]), .integer(1)]), .array([.null, .null]),
            .array([list("h", "1"), .bulk([49])]), .integer(7), .simple("OK"), .bulk([104]),
        ] {
            guard case .useless = SentinelAnswer(reply) else {
                Issue.record("\(reply) was taken for an answer")
                continue
            }
        }
    }

    @Test func `the sentinel that answered is asked first, one that misled last`() {
        var order = SentinelOrder(count: 4)
        order.didAnswer(2)
        #expect(order.positions == [2, 0, 1, 3])
        order.didAnswer(2)
        #expect(order.positions == [2, 0, 1, 3])
        order.didMislead(2)
        #expect(order.positions == [0, 1, 3, 2])
        order.didMislead(1)
        #expect(order.positions == [0, 3, 2, 1])
        var alone = SentinelOrder(count: 1)
        alone.didMislead(0)
        alone.didAnswer(0)
        #expect(alone.positions == [0])
    }

    @Test(arguments: [0, 1, 10, 999, 5_000, 60_000], [1, 3, 16])
    func `all sentinels and the primary fit the time of one attempt`(total: Int, count: Int) {
        var remaining = total
        for asked in 0..<count {
            let wait = SentinelOrder.waitMilliseconds(remaining: remaining, left: count - asked)
            #expect((1...SentinelOrder.longestWaitMilliseconds).contains(wait))
            remaining -= wait
        }
        if total > count { #expect(remaining >= total / (count + 1)) }
    }

    @Test func `a group has a name and few sentinels`() {
        let one = RedisEndpoint.Address.tcp(host: "a", port: 1)
        #expect(SentinelGroup([], primary: "p") == nil)
        #expect(SentinelGroup([one], primary: "") == nil)
        #expect(SentinelGroup(Array(repeating: one, count: 17), primary: "p") == nil)
        #expect(SentinelGroup(Array(repeating: one, count: 16), primary: "p") != nil)
    }

    @Test func `passwords show nowhere`() throws {
        let group = try #require(
            SentinelGroup([.tcp(host: "a", port: 1), .tcp(host: "::1", port: 2)], primary: "p"))
        var endpoint = RedisEndpoint(
            .sentinels(group), user: "alice", password: "wonder", database: 3)
        endpoint.sentinelPassword = "land"
        #expect("\(endpoint)" == "redis-sentinel://alice@a:1,[::1]:2/p/3")
        var dumped = "\(String(reflecting: endpoint))\(Optional(endpoint) as Any)"
        dump(endpoint, to: &dumped)
        #expect(!dumped.contains("wonder") && !dumped.contains("land"))
    }

    @Test func `a server that becomes a replica takes no changes`() {
        for text in [
            "READONLY You can't write against a read only replica.",
            "UNBLOCKED force unblock from blocking operation, instance state changed",
            "ERR WAIT cannot be used with replica instances. Please also note ...",
        ] {
            #expect(ErrorKind(Bytes(text.utf8)) == .refused(.readOnly))
        }
    }
}
