import Testing

@testable import apusfs

@Suite struct SourceParserTests {
    @Test(arguments: [
        ("redis://server", Source(.tcp(host: "server", port: 6_379))),
        ("redis://server/", Source(.tcp(host: "server", port: 6_379))),
        ("redis://server:7000/15", Source(.tcp(host: "server", port: 7_000), database: 15)),
        ("redis://10.0.0.1:1", Source(.tcp(host: "10.0.0.1", port: 1))),
        ("redis://[::1]", Source(.tcp(host: "::1", port: 6_379))),
        (
            "redis://[fe80::1%eth0]:65535/1",
            Source(.tcp(host: "fe80::1%eth0", port: 65_535), database: 1)
        ),
        ("redis://alice@server", Source(.tcp(host: "server", port: 6_379), user: "alice")),
        (
            "redis://alice:pw@server",
            Source(.tcp(host: "server", port: 6_379), user: "alice", password: Secret("pw"))
        ),
        (
            "redis://:pw@server",
            Source(.tcp(host: "server", port: 6_379), password: Secret("pw"))
        ),
        (
            "redis://a%40b:p%2Fw%3A%25@server",
            Source(.tcp(host: "server", port: 6_379), user: "a@b", password: Secret("p/w:%"))
        ),
        (
            "redis://:p@w@server",
            Source(.tcp(host: "server", port: 6_379), password: Secret("p@w"))
        ),
        (
            "redis://:a:b@server",
            Source(.tcp(host: "server", port: 6_379), password: Secret("a:b"))
        ),
        (
            "redis-sentinel://a/mymaster",
            Source(.sentinels([.init(name: "a", port: 26_379)], primary: "mymaster"))
        ),
        (
            "redis-sentinel://a:b%2C@a.example:1,[::1]:2,10.0.0.3/m-1._x/3",
            Source(
                .sentinels(
                    [
                        .init(name: "a.example", port: 1), .init(name: "::1", port: 2),
                        .init(name: "10.0.0.3", port: 26_379),
                    ], primary: "m-1._x"), user: "a", password: Secret("b,"), database: 3)
        ),
        ("unix:///run/redis.sock", Source(.unixSocket(path: "/run/redis.sock"))),
        (
            "unix:///run/redis.sock?db=3",
            Source(.unixSocket(path: "/run/redis.sock"), database: 3)
        ),
        ("unix:///run/a%20b%3F.sock", Source(.unixSocket(path: "/run/a b?.sock"))),
        (
            "unix://alice:pw@/run/redis.sock",
            Source(
                .unixSocket(path: "/run/redis.sock"), user: "alice", password: Secret("pw"))
        ),
        ("unix:///run/a@b.sock", Source(.unixSocket(path: "/run/a@b.sock"))),
        ("file:/srv/x", Source(.embedded(directory: "/srv/x"))),
        ("file:///srv/x", Source(.embedded(directory: "/srv/x"))),
        ("file:data", Source(.embedded(directory: "data"))),
        ("file:/srv/with space:colon?q", Source(.embedded(directory: "/srv/with space:colon?q"))),
        ("memory:", Source(.memory)),
    ])
    func `each form of a source is understood`(text: String, source: Source) throws {
        #expect(try SourceParser.parse(text) == source)
    }

    @Test(arguments: [
        ("", "the source is empty"),
        ("server:6379", "unknown source scheme 'server'"),
        ("redisss://server", "unknown source scheme 'redisss'"),
        ("rediss:server", "two slashes"),
        ("rediss-sentinel://a", "the name of the primary is missing"),
        ("REDIS://server", "unknown source scheme 'REDIS'"),
        ("/srv/x", "write file:/srv/x"),
        ("server", "is no source"),
        ("redis:server", "two slashes"),
        ("redis://", "names no host"),
        ("redis://:6379", "names no host"),
        ("redis://alice@", "names no host"),
        ("redis://@server", "before the '@'"),
        ("redis://ser ver", "is no host"),
        ("redis://server:0", "1 to 65535"),
        ("redis://server:65536", "1 to 65535"),
        ("redis://server:+1", "1 to 65535"),
        ("redis://server:", "1 to 65535"),
        ("redis://::1", "names no host"),
        ("redis://fe80::1", "1 to 65535"),
        ("redis://[::1", "needs its ']'"),
        ("redis://[::1]x", "only ':port'"),
        ("redis://[server]", "is no IPv6 address"),
        ("redis://server/x", "is no number of a Redis database"),
        ("redis://server/-1", "is no number of a Redis database"),
        ("redis://server/1000000", "is no number of a Redis database"),
        ("redis://server/1/2", "is no number of a Redis database"),
        ("redis://server/0?db=1", "takes no '?'"),
        ("redis://server#1", "has no '#'"),
        ("redis-sentinel:a/m", "two slashes"),
        ("redis-sentinel://a", "the name of the primary is missing"),
        ("redis-sentinel://a/", "the name of the primary is missing"),
        ("redis-sentinel:///m", "names no host"),
        ("redis-sentinel://a,/m", "names no host"),
        ("redis-sentinel://,a/m", "names no host"),
        ("redis-sentinel://a:0/m", "1 to 65535"),
        ("redis-sentinel://a b/m", "is no host"),
        ("redis-sentinel://a/m n", "is no name of a primary"),
        ("redis-sentinel://a/m,n", "is no name of a primary"),
        ("redis-sentinel://a/m/x", "is no number of a Redis database"),
        ("redis-sentinel://a/m/0/1", "is no number of a Redis database"),
        ("redis-sentinel://a/m?db=1", "takes no '?'"),
        ("redis-sentinel://a:p/w@b/m", "%2F"),
        (
            "redis-sentinel://\(Array(repeating: "a", count: 17).joined(separator: ","))/m",
            "at most 16 sentinels"
        ),
        ("redis://us%er@server", "'%' is written %25"),
        ("redis://alice:p%ww@server", "'%' is written %25"),
        ("redis://alice:p%00@server", "'%' is written %25"),
        ("redis://alice:p/w@server", "%2F"),
        ("unix:/run/redis.sock", "two slashes"),
        ("unix://run/redis.sock", "absolute path"),
        ("unix://", "absolute path"),
        ("unix:///", "malformed"),
        ("unix:///run/%zz", "malformed"),
        ("unix:///run/redis.sock?db=", "is no number of a Redis database"),
        ("unix:///run/redis.sock?prefix=x", "only '?db=N'"),
        ("unix:///" + String(repeating: "x", count: 107), "at most 107 bytes, this one has 108"),
        ("file:", "needs a directory"),
        ("file://", "a directory of this machine"),
        ("file://host/x", "a directory of this machine"),
        ("memory:x", "nothing may follow"),
        ("redis://server\n", "control character"),
    ])
    func `a malformed source is refused with the reason and the known forms`(
        text: String, reason: String
    ) {
        let failure = #expect(throws: CommandFailure.self) { try SourceParser.parse(text) }
        #expect(failure?.message.contains(reason) == true, "\(failure?.message ?? "")")
        #expect(failure?.message.contains("memory:") == true)
        #expect(failure?.message.contains("\n") == false)
        #expect(failure?.status == .usage)
    }

    @Test(arguments: [
        "redis://alice:hunter2@server:99999", "redis://alice:hunter2", "redis://:hunter2@",
        "redis://alice:hunter2@server/x", "redis://a:hunter2/@server", "redis://a:hunter2%@server",
        "redis-sentinel://a:hunter2@h", "redis-sentinel://a:hunter2@h,/m",
        "redis-sentinel://a:hunter2,h/m", "redis-sentinel://a:h/hunter2@h/m",
        "unix://a:hunter2@run/x", "redis//a:hunter2@server", "redis:alice:hunter2@server",
    ])
    func `the refusal of a malformed source never shows its password`(text: String) {
        let failure = #expect(throws: CommandFailure.self) { try SourceParser.parse(text) }
        #expect(failure?.message.contains("hunter2") == false, "\(failure?.message ?? "")")
    }

    @Test func `a socket path of 107 bytes is accepted`() throws {
        let path = "/" + String(repeating: "x", count: 106)
        #expect(try SourceParser.parse("unix://\(path)").place == .unixSocket(path: path))
    }

    @Test(arguments: [
        "redis://server:6379/0", "redis://[::1]:6379/2", "redis://alice@server:6379/0",
        "redis-sentinel://a@h:1,[::1]:26379/m/0", "rediss://alice@server:6379/0",
        "rediss-sentinel://a@h:1,[::1]:26379/m/0", "unix:///run/a%20b.sock",
        "unix:///run/redis.sock?db=3", "file:/srv/x", "memory:",
    ])
    func `the shown form of a source without password is a source again`(text: String) throws {
        #expect("\(try SourceParser.parse(text))" == text)
    }

    @Test(arguments: [
        "redis://alice:hunter2@server/1", "redis-sentinel://:hunter2@a,b/m",
        "unix://:hunter2@/run/redis.sock",
    ])
    func `no printed form of a source shows the password`(text: String) throws {
        let source = try SourceParser.parse(text)
        var dumped = ""
        dump(source, to: &dumped)
        for shown in ["\(source)", String(reflecting: source), dumped] {
            #expect(!shown.contains("hunter2"), "\(shown)")
        }
        #expect("\(source)".contains("***@"))
    }

    @Test func `a plan carries the password through its JSON`() throws {
        let plan = MountPlan(
            source: try SourceParser.parse("redis://alice:hunter2@server/1"), mountPoint: "/mnt/x",
            settings: MountSettings())
        let bytes = Array(JSON.text(plan, isPretty: false).utf8)
        let received = try JSON.value(MountPlan.self, from: bytes)
        #expect(received == plan)
        #expect(received.source.password?.reveal() == "hunter2")
    }
}
