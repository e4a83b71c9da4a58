import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// The users of docs/SECURITY.md for keys as files.
    @Suite struct KeysPrivilegeTests {
        private static let fill = """
            redis.call('SET', 'a:s', 'text'); redis.call('HSET', 'a:h', 'f', 'field', 'g', '2')
            redis.call('RPUSH', 'a:l', 'x', 'y'); redis.call('SADD', 'a:set', 'x', 'y')
            redis.call('ZADD', 'a:z', 1, 'x', 2, 'y'); redis.call('XADD', 'a:x', '1-1', 'f', 'v')
            redis.call('SET', 'a:long', string.rep('0123456789', 60000), 'EX', 10000)
            for i = 1, 3000 do redis.call('HSET', 'big', 'f' .. i, 'v' .. i) end
            for i = 1, 3000 do redis.call('RPUSH', 'long', 'element' .. i) end
            for i = 1, 3000 do redis.call('SADD', 'wide', 'element' .. i) end
            """

        /// Everything that only looks.
        private static let look = """
            find . | wc -l; ls -l . a; cat a/* > /dev/null; cat long wide big.f77 > /dev/null
            for file in a/s a/h.f a/l a/long; do getfattr -d -m - "$file"; done
            head -c 100000 a/long | tail -c 10; df . ; cat .updater; ls a
            """

        private static let edit = """
            echo new > a/new; echo more >> a/new; printf X | dd of=a/long bs=1 seek=9 conv=notrunc
            echo changed > a/s; truncate -s 2 a/s; mv a/new a/renamed; mv -n a/renamed a/kept
            echo text > b.tmp; mv b.tmp a/s; echo f > a/h.k; echo longer > a/h.k; mv a/h.k a/h.m
            mv a/h.m plain; rm plain a/h.g; mv a c; rm c/kept; mkdir d; rmdir d; cp c/long d.copy
            setfattr -n user.redis.ttl -v 500 c/s; setfattr -n user.redis.ttl -v -1 c/s
            python3 -c 'f = open("c/long", "r+b"); f.write(b"y" * 70000); f.flush()
            import os; os.fsync(f.fileno()); os.unlink("c/long"); f.seek(0); assert f.read(1) == b"y"'
            """

        @Test func `looking at every type, live, takes no more than the rules allow`() throws {
            let server = try RedisServer()
            try server.cli("EVAL", Self.fill, "0")
            let rules = try AccessRules("keys", on: server)
            try withKeys(server, flags: [], credentials: AccessRules.credentials) { (view) throws in
                let before = try view.dump()
                try view.shell(Self.look)
                #expect(view.log().contains("by=tracking"))
                try server.cli("SET", "a:s", "other")
                #expect(try Polling.wait { try view.shell("cat a/s") == "other" })
                try server.cli("SET", "a:s", "text")
                #expect(try view.dump() == before)
            }
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            for words in [
                ["SET", "a:s", "x"], ["DEL", "a:s"], ["HSET", "a:h", "f", "x"], ["KEYS", "*"],
                ["EVAL", "return redis.call('DEL', 'a:s')", "0"], ["FLUSHALL"], ["MONITOR"],
                ["EVAL_RO", "return redis.call('DEL', KEYS[1])", "1", "a:s"],
                ["CONFIG", "GET", "*"], ["EXPIRE", "a:s", "1"], ["SUBSCRIBE", "news"],
            ] {
                #expect(try rules.refuses(words), "\(words)")
            }
        }

        @Test func `editing takes no more than the rules allow`() throws {
            let server = try RedisServer()
            try server.cli("EVAL", Self.fill, "0")
            let rules = try AccessRules("keys", "keys-write", on: server)
            try withKeys(
                server, flags: ["--write", "--on-conflict", "keep-both"],
                credentials: AccessRules.credentials
            ) { (view) throws in
                try view.shell(Self.look)
                try view.shell(Self.edit)
                let file = try Descriptor(view.path + "/c/s", O_RDWR)
                try server.cli("SET", "c:s", "theirs")
                try file.write(Array("mine".utf8), at: 0)
                try file.close()
                let kept = try server.cli("GET", "c:s~conflict-1")
                #expect(kept == "mine\n")
            }
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            #expect(try server.cli("EXISTS", "c:s", "c:l", "c:h") == "3")
            #expect(try rules.refuses(["FLUSHALL"]))
        }

        @Test func `a user of one prefix sees and changes no other key`() throws {
            let server = try RedisServer()
            try server.cli("EVAL", Self.fill, "0")
            let rules = try AccessRules("keys", "keys-write", on: server)
            try server.cli("ACL", "SETUSER", AccessRules.user, "resetkeys", "~a:*")
            try withKeys(
                server, flags: ["--write", "--prefix", "a:"], credentials: AccessRules.credentials
            ) { (view) throws in
                #expect(try view.shell("ls | head -3") == "h.f\nh.g\nl\n")
                try view.shell("cat s; echo x > s; mv s t; touch .updater; ls > /dev/null")
            }
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            #expect(try rules.refuses(["GET", "big"]))
            #expect(try server.cli("GET", "a:t") == "x\n")
        }
    }
}
