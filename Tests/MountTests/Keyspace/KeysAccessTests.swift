import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Servers that let a mount do less than everything, and the ways into a mount beside the command.
    @Suite struct KeysAccessTests {
        private static let fill = """
            redis.call('SET', 'a:s', 'text'); redis.call('HSET', 'a:h', 'f', 'field')
            redis.call('RPUSH', 'a:l', 'x', 'y')
            for i = 1, 3000 do redis.call('HSET', 'big', 'f' .. i, 'v' .. i) end
            """

        /// What a user may do, and what the mount then knows of texts before they are open, and of changes.
        @Test(arguments: [
            ("+@read", 0, "none"), ("+@read +@scripting", 4, "none"),
            ("+@read +@scripting +client", 4, "tracking"),
        ])
        func `a user who may only read browses everything and changes nothing`(
            rules: String, size: Int, watching: String
        ) throws {
            try withKeys(
                flags: ["--write"], credentials: "reader:secret",
                prepare: { server in
                    try server.cli("EVAL", Self.fill, "0")
                    let rights = rules.split(separator: " ").map { String($0) }
                    let made = try server.cli(
                        words: ["ACL", "SETUSER", "reader", "on", ">secret", "~*"] + rights)
                    #expect(made == "OK")
                }
            ) { (view) throws in
                let before = try view.dump()
                #expect(try view.shell("ls; ls a") == Self.names)
                #expect(try view.shell("stat -c %s a/s a/h.f a/l") == "4\n5\n\(size)\n")
                #expect(try view.shell("cat a/s a/h.f a/l big.f77") == "textfieldx\ny\nv77")
                #expect(try view.shell("getfattr -n user.redis.type a/l 2>&1").contains("list"))
                for script in [
                    "echo x > a/s", "echo x >> a/s", "echo x > new", "rm a/s", "mv a/s b",
                    "truncate -s 0 a/s", "echo x > a/h.f", "rm a/h.f", "mv a c",
                    "setfattr -n user.redis.ttl -v 5 a/s",
                ] {
                    #expect(throws: (any Error).self, "\(script)") { try view.shell(script) }
                }
                #expect(try view.dump() == before)
                let way = watching == "none" ? "after the time limits only" : "by=\(watching)"
                #expect(view.log().contains(way))
            }
        }

        private static let names: String = {
            let fields = (1...3_000).map { "big.f\($0)" }.sorted()
            return (["a"] + fields + ["h.f", "l", "s"]).joined(separator: "\n") + "\n"
        }()

        @Test func `a replica is shown read-only, live and with true sizes`() throws {
            let primary = try RedisServer(
                arguments: ["--repl-diskless-sync-delay", "0"], tcp: true)
            try primary.cli("EVAL", Self.fill, "0")
            let port = try #require(primary.port)
            let replica = try RedisServer(arguments: ["--replicaof", "127.0.0.1", "\(port)"])
            #expect(try Polling.wait { try replica.cli("EXISTS", "big") == "1" })
            try withKeys(
                replica, flags: ["--write", "--attr-timeout", "1h", "--entry-timeout", "1h"]
            ) { (view) throws in
                #expect(try view.shell("ls; ls a") == Self.names)
                #expect(try view.shell("stat -c %s a/s a/l; cat a/l") == "4\n4\nx\ny\n")
                #expect(throws: Errno(rawValue: EROFS)) {
                    try SystemCall.writeFile(view.path + "/new", "x")
                }
                #expect(view.log().contains("replica"))
                try primary.cli("RPUSH", "a:l", "z")
                try primary.cli("SET", "a:s", "changed")
                try primary.cli("SET", "new:k", "x")
                #expect(
                    try Polling.wait { try view.shell("stat -c %s a/l; cat a/s") == "6\nchanged" })
                #expect(Polling.wait { SystemCall.exists(view.path + "/new/k") })
            }
        }

        @Test func `mount(8) mounts keys by its helper, with the options of fstab`() throws {
            try withKeys(prepare: { try $0.cli("EVAL", Self.fill, "0") }) { (view) throws in
                let helper = view.directory + "/mount.apusfs-keys"
                #expect(symlink(Program.path, helper) == 0)
                let place = view.directory + "/second"
                try SystemCall.mkdir(place)
                let options = "rw,_netdev,nofail,x-systemd.automount,nosuid,prefix=a:,format=json"
                try ProgramRun.run(
                    [
                        helper, view.source, place, "-o",
                        options + ",log-file=\(view.directory)/log2",
                    ]
                ).checked()
                defer { _ = try? Program.run(["umount", place]) }
                #expect(try ProgramRun.run(["ls", place]).checked().output == "h.f\nl\ns\n")
                #expect(
                    try SystemCall.readFile(place + "/l") == Array("[\n\"x\",\n\"y\"\n]\n".utf8))
                // The `rw` that mount(8) adds by itself does not make the data of others writable.
                #expect(throws: Errno(rawValue: EROFS)) {
                    try SystemCall.writeFile(place + "/new", "x")
                }
                try Program.run(["umount", place]).checked()
                let bogus = try ProgramRun.run([helper, view.source, place, "-o", "prefx=a:"])
                #expect(bogus.status == 1 && bogus.errors.contains("did you mean 'prefix'"))
            }
        }
    }
}
