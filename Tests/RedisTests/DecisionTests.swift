import KeyValue
import Testing

@testable import Redis

@Suite struct DecisionTests {
    @Test func `connecting is tried at once, then after pauses that double up to 50 ms`() {
        var policy = ReconnectPolicy()
        #expect((0..<7).map { _ in policy.pauseMilliseconds() } == [0, 10, 20, 40, 50, 50, 50])
        policy.didConnect()
        #expect(policy.pauseMilliseconds() == 0)
    }

    @Test(arguments: [
        ("NOSCRIPT No matching script.", ErrorKind.unknownScript),
        ("LOADING Redis is loading the dataset in memory", .tryLater),
        ("BUSY Redis is busy running a script.", .tryLater),
        ("MASTERDOWN Link with MASTER is down", .tryLater), ("TRYAGAIN Multiple keys", .tryLater),
        ("OOM command not allowed when used memory > 'maxmemory'.", .refused(.outOfMemory)),
        ("READONLY You can't write against a read only replica.", .refused(.readOnly)),
        ("WRONGTYPE Operation against a key", .refused(.wrongKind)),
        (
            "NOAUTH Authentication required.",
            .refused(.notAuthorized("NOAUTH Authentication required."))
        ),
        ("NOPERM no", .refused(.notAuthorized("NOPERM no"))),
        (
            "EXECABORT Transaction discarded because of: OOM command not allowed",
            .refused(.outOfMemory)
        ),
        (
            "EXECABORT Transaction discarded because of previous errors.",
            .refused(
                .protocolViolation("EXECABORT Transaction discarded because of previous errors."))
        ),
        ("MISCONF disk", .refused(.unavailable("MISCONF disk"))),
        ("ERR other", .refused(.protocolViolation("ERR other"))),
        ("", .refused(.protocolViolation(""))),
    ])
    func `an error reply is understood by its first word`(text: String, kind: ErrorKind) {
        #expect(ErrorKind(bytes(text)) == kind)
    }

    @Test func `a digest is SHA-1`() {
        func digest(_ text: String) -> String {
            String(decoding: Script(text).digest, as: UTF8.self)
        }
        // FIPS 180-4 examples; 56 bytes need a second block for the length.
        #expect(digest("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(digest("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(
            digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
    }

    @Test func `what a server does not tell is taken for the worse`() {
        let greeting = RedisGreeting(version: "7.2.0", isReplica: true)
        let unknown = RedisStore.status(nil, settings: [:], greeting)
        #expect(unknown.mayEvict && unknown.isReadOnly && unknown.persistence == .none)
        #expect(unknown.product == "redis 7.2.0")
        let text = bytes(
            "# Memory\r\nused_memory:5\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n"
                + "aof_enabled:1\r\nrole:slave\r\nslave_read_only:0\r\nredis_version:7.0.15\r\n")
        let some = RedisStore.status(RedisInformation(text), settings: [:], greeting)
        // Without a limit nothing is evicted; a log whose pace is not known is not taken for "always".
        #expect(!some.mayEvict && !some.isReadOnly && some.persistence == .everySecond)
        #expect(some.usedBytes == 5 && some.machineBytes == 0 && some.product == "redis 7.0.15")
    }

    @Test func `zombies of a server that is gone are forgotten with it`() {
        let zombies = Zombies()
        #expect(!zombies.areSome)
        let old = RedisIdentity(run: bytes("old"), client: 1)
        let new = RedisIdentity(run: bytes("new"), client: 1)
        zombies.add(old)
        zombies.add(new)
        #expect(zombies.areSome)
        let (living, gone) = zombies.identities(of: bytes("new"))
        #expect(living == [new] && gone == [old])
        zombies.remove(living + gone)
        #expect(!zombies.areSome)
    }

    @Test func `a client name has no byte that CLIENT SETNAME refuses`() {
        #expect(RedisOptions(clientName: "a b\n\u{1}é~").safeClientName == "a-b----~")
    }
}
