import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// What is odd, forbidden or impossible, and the errno that says so.
    @Suite struct KeysRefusalTests {
        /// What a call threw.
        private func failure(_ body: () throws -> Void) throws -> Int32? {
            do {
                try body()
                return nil
            } catch let error as Errno {
                return error.rawValue
            }
        }

        @Test(arguments: ["fields", "directory"])
        func `a name that is nothing but a mark is no directory of itself`(hashes: String) throws {
            let long = String(repeating: "x", count: 300)
            try withKeys(
                flags: ["--write", "--hashes", hashes],
                prepare: { server in
                    try server.cli("MSET", "d:k", "1", "d:\(long)", "2")
                    try server.cli("HSET", "h", "f", "1", long, "2")
                }
            ) { (view) throws in
                let places = try view.shell("find . -type d").split(separator: "\n")
                #expect(places.contains { $0.hasSuffix("%more") })
                for place in places {
                    let path = view.path + "/\(place)/%more"
                    #expect(!SystemCall.exists(path))
                    #expect(try failure { _ = try SystemCall.stat(path) } == ENOENT)
                    #expect(try failure { try SystemCall.writeFile(path, "x") } == EINVAL)
                    #expect(try failure { try SystemCall.mkdir(path) } == EPERM)
                }
                #expect(try view.cli("DBSIZE") == "3")
            }
        }

        /// `mv` copies attributes along where it has to copy, and so does `cp -a`: those of a string are not
        /// to be those of a hash with other fields.
        @Test func `what is copied into a field does not make its hash expire`() throws {
            try withKeys(
                prepare: { server in
                    try server.cli("SET", "brief", "text", "EX", "1000")
                    try server.cli("HSET", "h", "f", "1", "g", "2")
                }
            ) { (view) throws in
                for script in ["cp -a brief h.copy", "mv brief h.moved"] {
                    let run = try ProgramRun.run(["sh", "-c", script], in: view.path).checked()
                    #expect(run.errors == "", "\(script)")
                    #expect(try view.cli("TTL", "h") == "-1", "\(script)")
                }
                #expect(try view.cli("HMGET", "h", "f", "copy", "moved") == "1\ntext\ntext")
                #expect(try view.cli("EXISTS", "brief") == "0")
                try view.shell("setfattr -n user.redis.ttl -v 500 h.f")
                #expect(try Int(view.cli("TTL", "h")).map { (1...500).contains($0) } == true)
            }
        }

        @Test func `a server that is full, or has too few replicas, loses nothing silently`() throws
        {
            try withKeys(prepare: { try $0.cli("MSET", "k", "old", "l", "old") }) { (view) throws in
                let file = try Descriptor(view.path + "/k", O_RDWR)
                try view.cli("CONFIG", "SET", "maxmemory", "1")
                try file.write(Array("new".utf8), at: 0)
                #expect(try failure { try SystemCall.writeFile(view.path + "/n", "x") } == ENOSPC)
                #expect(try failure { try file.sync() } == ENOSPC)
                #expect(try view.cli("GET", "k") == "old")
                // Removing works, and what was written can be stored when there is room.
                try view.shell("rm l")
                try view.cli("CONFIG", "SET", "maxmemory", "0")
                try file.close()
                #expect(try view.cli("GET", "k") == "new")
                try view.cli("CONFIG", "SET", "min-replicas-to-write", "1")
                #expect(try failure { try SystemCall.writeFile(view.path + "/k", "x") } == EIO)
                #expect(try view.cli("GET", "k") == "new")
            }
        }

        @Test func `a node of a cluster shows its keys and makes no others`() throws {
            let files = try TemporaryDirectory()
            let nodes = files.path + "/nodes.conf"
            let (own, other) = (
                String(repeating: "1", count: 40), String(repeating: "2", count: 40)
            )
            let table = """
                \(own) 127.0.0.1:0@0 myself,master - 0 0 1 connected 0-9999
                \(other) 127.0.0.1:1@1 master - 0 0 2 connected 10000-16383
                vars currentEpoch 2 lastVoteEpoch 0

                """
            try table.write(toFile: nodes, atomically: false, encoding: .utf8)
            // Nobody else listens there: below the ports that the kernel gives out.
            let bus = 20_000 + Int(getpid()) % 10_000
            let server = try RedisServer(
                arguments: [
                    "--cluster-enabled", "yes", "--cluster-config-file", nodes, "--cluster-port",
                    "\(bus)", "--cluster-node-timeout", "600000",
                    "--cluster-require-full-coverage", "no",
                ], tcp: true)
            // A new master waits for two seconds. Slots: b 3300, c 7365, f 3168; a 15495 is the other's.
            #expect(Polling.wait { (try? server.cli("SET", "b", "1")) == "OK" })
            try withKeys(server) { (view) throws in
                #expect(view.log().contains("a node of a cluster"))
                #expect(try view.shell("cat b; echo 2 > c; mv b f; ls") == "1c\nf\n")
                #expect(try view.cli("GET", "c") == "2\n")
                let (a, c) = (view.path + "/a", view.path + "/c")
                #expect(try failure { _ = try SystemCall.stat(a) } == ENOENT)
                #expect(try failure { try SystemCall.writeFile(a, "x") } == EPERM)
                #expect(try failure { try SystemCall.rename(c, view.path + "/b") } == EXDEV)
                try view.shell("mkdir d; echo 3 > d/b; rm -r d")
            }
        }

        @Test func `a user with few rights is told what they may not do`() throws {
            try withKeys(
                flags: ["--write"], credentials: "few:secret",
                prepare: { server in
                    try server.cli("MSET", "mine:k", "v", "other:k", "v")
                    try server.cli(
                        "ACL", "SETUSER", "few", "on", ">secret", "~mine:*", "+scan", "+type",
                        "+strlen", "+getrange")
                }
            ) { (view) throws in
                let path = view.path + "/mine/k"
                #expect(try view.shell("cat mine/k") == "v")
                #expect(try SystemCall.statvfs(view.path).f_files == 0)
                #expect(try failure { try SystemCall.writeFile(path, "x") } == EACCES)
                #expect(try failure { try SystemCall.unlink(path) } == EACCES)
                #expect(
                    try failure { try SystemCall.rename(view.path + "/mine", view.path + "/new") }
                        == EACCES)
                #expect(
                    try failure { _ = try SystemCall.readFile(view.path + "/other/k") } == EACCES)
                #expect(try view.cli("MGET", "mine:k", "other:k") == "v\nv")
            }
        }

        @Test func `a key beside a directory that is gone has its plain name again`() throws {
            try withKeys(prepare: { try $0.cli("MSET", "k", "1", "k:a", "2", "l", "3", "l:a", "4") }
            ) {
                (view) throws in
                #expect(try view.shell("ls") == "k\nk%value\nl\nl%value\n")
                try view.cli("DEL", "k:a")
                #expect(try Polling.wait { try view.shell("ls") == "k\nl\nl%value\n" })
                #expect(try Polling.wait { try view.shell("cat k || true") == "1" })
                try view.shell("mv l moved")
                #expect(try Polling.wait { try view.shell("ls") == "k\nl\nmoved\n" })
            }
        }
    }
}
