import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// The users of docs/SECURITY.md: what ApusFS does is let through, everything else is not.
    @Suite struct LeastPrivilegeTests {
        private func withMounts(
            _ rules: AccessRules, _ count: Int, flags: [String] = [],
            _ body: ([Mount]) throws -> Void
        ) throws {
            var mounts: [Mount] = []
            defer { for mount in mounts { mount.cleanUp() } }
            for _ in 0..<count {
                mounts.append(
                    try Mount(
                        of: rules.server, through: rules.source, flags: flags, limitSeconds: 240))
            }
            try body(mounts)
            for mount in mounts where mount.isMounted { try mount.unmount() }
        }

        @Test(arguments: ["none", "lz4"])
        func `a volume is made, used by two mounts, shown and collected`(codec: String) throws {
            let server = try RedisServer(arguments: ["--appendonly", "yes"])
            let rules = try AccessRules("volume", on: server)
            let place = [rules.source, "--volume", Mount.volume]
            try Program.run(["format"] + place + ["--codec", codec]).checked()
            try withMounts(rules, 2) { mounts in
                try BroadWorkload.run(mounts[0].path, mounts[1].path)
                try mounts[1].unmount()
                // Alone on the volume, blocks are stored in other ways.
                try mounts[0].dropCaches()
                let again = mounts[0].path + "/again"
                try SystemCall.mkdir(again)
                try BroadWorkload.run(again, again)
                try Program.run(["status", mounts[0].path], environment: AccessRules.environment)
                    .checked()
                try Program.run(["gc", mounts[0].path], environment: AccessRules.environment)
                    .checked()
            }
            try Program.run(["status"] + place).checked()
            try Program.run(["gc"] + place).checked()
            try withMounts(rules, 1, flags: ["--codec", "zlib"]) { mounts in
                #expect(SystemCall.exists(mounts[0].path + "/listed"))
            }
            try Program.run(["format"] + place + ["--force"]).checked()
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            // Without `+scan` a check is not carried out, and does not say that all is well.
            let check = try Program.run(["check"] + place)
            #expect(check.status == 8 && check.errors.contains("scan"), "\(check)")
        }

        @Test func `with what is optional, nothing at all is refused`() throws {
            let server = try RedisServer(
                arguments: ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"], tcp: true)
            let replica = try RedisServer(
                arguments: ["--replicaof", "127.0.0.1", "\(try #require(server.port))"])
            #expect(
                try Polling.wait {
                    try replica.cli("INFO", "replication").contains("master_link_status:up")
                })
            let rules = try AccessRules(
                "volume", "volume-check", "volume-settings", "volume-database", "volume-replicas",
                on: server)
            let source = rules.source + "?db=3"
            let place = [source, "--volume", Mount.volume]
            try Program.run(["format"] + place).checked()
            let mount = try Mount(
                of: server, through: source, flags: ["--fsync-replicas", "1", "--strict"],
                limitSeconds: 240)
            defer { mount.cleanUp() }
            try BroadWorkload.run(mount.path, mount.path)
            try Program.run(["check", mount.path, "--data"], environment: AccessRules.environment)
                .checked()
            #expect(
                try Program.run(["status", mount.path], environment: AccessRules.environment)
                    .checked().output.contains("all but the last second"))
            try mount.unmount()
            try server.cli("-n", "3", "SET", "test/b{999999/0}", "of no file")
            #expect(try Program.run(["check"] + place + ["--repair"]).status == 1)
            try Program.run(["check"] + place + ["--data"]).checked()
            try rules.expectNothingRefused()
        }

        @Test func `connections that were lost are ended at the server`() throws {
            let server = try RedisServer()
            let rules = try AccessRules("volume", on: server)
            let proxy = try CuttingProxy(to: server.path)
            let source = "unix://\(AccessRules.credentials)@\(proxy.path)"
            try Program.run(["format", source, "--volume", Mount.volume]).checked()
            let mount = try Mount(of: server, through: source, flags: [], limitSeconds: 240)
            defer { mount.cleanUp() }
            try server.cli("CONFIG", "RESETSTAT")
            for round in 0..<20 {
                try SystemCall.mkdir("\(mount.path)/\(round)")
                proxy.cutAll()
                try SystemCall.writeFile("\(mount.path)/\(round)/file", Bytes.text(5_000, seed: 1))
            }
            try mount.unmount()
            let kills = try server.cli("INFO", "commandstats")
            #expect(kills.contains("cmdstat_client|kill"))
            try rules.expectNothingRefused(but: AccessRules.dispensable)
        }

        @Test func `what a mount that is taken for dead has sent can be stopped with these rights`()
            throws
        {
            let server = try RedisServer()
            let rules = try AccessRules("volume", on: server)
            try Program.run(["format", rules.source, "--volume", Mount.volume]).checked()
            try withMounts(rules, 2) { mounts in
                try SystemCall.writeFile(mounts[0].path + "/file", Bytes.text(50_000, seed: 1))
                let daemon = try #require(mounts[0].daemon)
                kill(daemon, SIGSTOP)
                defer { kill(daemon, SIGCONT) }
                func connections() throws -> Int {
                    try server.cli("CLIENT", "LIST").split(separator: "\n").count {
                        $0.contains(":{test}s1 ")
                    }
                }
                #expect(try connections() > 0)
                try server.cli("ZADD", "{test}s", "1", "1")
                #expect(try Polling.wait(limitSeconds: 60) { try connections() == 0 })
            }
            try rules.expectNothingRefused(but: AccessRules.dispensable)
        }

        @Test func `sentinels that want a password tell this user where the primary is`() throws {
            let deployment = try SentinelDeployment()
            let sentinel = deployment.sentinels[0]
            let atSentinel = try AccessRules("sentinel", on: sentinel)
            try sentinel.cli("ACL", "SETUSER", "default", "resetpass", ">of-the-administrator")
            let rules = try AccessRules("volume", on: deployment.primary)
            let port = try #require(sentinel.port)
            let source =
                "redis-sentinel://\(AccessRules.credentials)@127.0.0.1:\(port)/"
                + SentinelDeployment.name
            try Program.run(["format", source, "--volume", Mount.volume]).checked()
            let mount = try Mount(
                of: deployment.primary, through: source, flags: [], limitSeconds: 240)
            defer { mount.cleanUp() }
            try SystemCall.writeFile(mount.path + "/file", Bytes.text(300_000, seed: 1))
            try mount.unmount()
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            for words in [
                ["SENTINEL", "FAILOVER", SentinelDeployment.name], ["SENTINEL", "MASTERS"],
                ["SENTINEL", "REMOVE", SentinelDeployment.name], ["SHUTDOWN"], ["ACL", "LIST"],
            ] { #expect(try atSentinel.refuses(words), "\(words)") }
        }

        @Test func `a mount that only reads needs no right to change anything`() throws {
            let server = try RedisServer(arguments: ["--appendonly", "yes"])
            try Program.run(["format", server.source, "--volume", Mount.volume]).checked()
            let rules = try AccessRules("read-only", on: server)
            let writer = try Mount(
                of: server, through: server.source, flags: [], limitSeconds: 240)
            defer { writer.cleanUp() }
            let bytes = Bytes.pattern(700_000, seed: 3)
            try SystemCall.mkdir(writer.path + "/directory")
            try SystemCall.writeFile(writer.path + "/directory/file", bytes)
            try SystemCall.symlink("directory/file", writer.path + "/link")
            try SystemCall.setXattr(writer.path + "/directory", "user.a", [1])
            try withMounts(rules, 1, flags: ["--read-only"]) { mounts in
                let path = mounts[0].path
                #expect(try SystemCall.readFile(path + "/link") == bytes)
                #expect(try ProgramRun.run(["find", path]).checked().output.contains("directory/"))
                #expect(try SystemCall.listXattrs(path + "/directory") == ["user.a"])
                #expect(throws: Errno(rawValue: EROFS)) { try SystemCall.mkdir(path + "/new") }
                try SystemCall.writeFile(writer.path + "/directory/later", "text")
                #expect(
                    Polling.wait(limitSeconds: 30) {
                        SystemCall.exists(path + "/directory/later")
                    })
                _ = try SystemCall.statvfs(path)
                try Program.run(["status", path], environment: AccessRules.environment).checked()
            }
            try rules.expectNothingRefused(but: AccessRules.dispensable)
            for words in [
                ["HSET", "{test}i1", "m", "0"], ["UNLINK", "{test}i1"],
                ["SET", "test/b{1/0}", "x"],
                ["EVAL", "return redis.call('HSET', '{test}i1', 'm', '0')", "0"],
                ["PUBLISH", "{test}c", "x"],
            ] { #expect(try rules.refuses(words), "\(words)") }
            let mount = try Program.run(
                ["mount", rules.source, writer.path + "/directory", "--volume", Mount.volume]
                    + ["--nonempty"])
            expectRefusal(mount, status: Status.mountFailure, mentions: ["the user may not do"])
        }

        @Test func `keys of others, and the server itself, are out of reach`() throws {
            let server = try RedisServer()
            let rules = try AccessRules(
                "volume", "volume-check", "volume-settings", "volume-database", "volume-replicas",
                on: server)
            try Program.run(["format", rules.source, "--volume", Mount.volume]).checked()
            try Program.run(["format", server.source, "--volume", "test2"]).checked()
            for key in ["other", "test", "{tes}t", "test/bx"] {
                try server.cli("SET", key, "secret")
            }
            for key in ["other", "test", "{tes}t", "test/bx"] {
                #expect(try rules.refuses(["GET", key]), "\(key)")
            }
            for words in [
                ["HGETALL", "{test2}"], ["UNLINK", "test2/b{1/0}"], ["KEYS", "*"], ["FLUSHALL"],
                ["FLUSHDB"], ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "REWRITE"],
                ["EVAL", "return redis.call('GET', 'other')", "0"],
                ["EVAL", "return redis.call('GET', KEYS[1])", "1", "other"],
                ["EVAL", "return redis.call('FLUSHALL')", "0"],
                ["EVAL", "return redis.call('PUBLISH', 'news', 'x')", "0"],
                ["RENAME", "{test}i1", "other"], ["RENAME", "other", "{test}i7"],
                ["COPY", "other", "{test}i7"], ["SUBSCRIBE", "news"], ["PSUBSCRIBE", "*"],
                ["PUBLISH", "news", "x"], ["MONITOR"], ["SHUTDOWN", "NOSAVE"], ["SAVE"],
                ["ACL", "LIST"], ["ACL", "SETUSER", "apusfs", "+@all"], ["CLIENT", "PAUSE", "1"],
                ["REPLICAOF", "NO", "ONE"], ["DEBUG", "RELOAD"], ["SCRIPT", "FLUSH"],
                ["FUNCTION", "LIST"], ["MIGRATE", "h", "1", "{test}i1", "0", "1"],
                ["DUMP", "{test}i1"], ["SLOWLOG", "GET"], ["RANDOMKEY"],
            ] { #expect(try rules.refuses(words), "\(words)") }
            #expect(try server.cli("GET", "other") == "secret")
            #expect(try server.cli("EXISTS", "{test}i1", "{test2}i1") == "2")
        }
    }
}
