import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct KeysListingTests {
        /// The next name of a directory; `nil` at its end.
        private func next(_ directory: OpaquePointer) -> String? {
            guard let entry = readdir(directory) else { return nil }
            return withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
        }

        private static func fill(_ server: RedisServer, _ name: String, _ count: Int) throws {
            let script = """
                for i = 1, ARGV[2] do redis.call('SET', ARGV[1] .. i, i) end
                """
            try server.cli("EVAL", script, "0", name, "\(count)")
        }

        @Test func `what stays is listed once while keys come, go, and tables grow`() throws {
            try withKeys(prepare: { try Self.fill($0, "d:stay", 3_000) }) { (view) throws in
                try Self.fill(view.server, "d:go", 3_000)
                let directory = try #require(opendir(view.path + "/d"))
                defer { closedir(directory) }
                var seen: [String: Int] = [:]
                for _ in 0..<500 { next(directory).map { seen[$0, default: 0] += 1 } }
                // The server's table grows and shrinks while it is gone through.
                try Self.fill(view.server, "d:come", 30_000)
                let script = "for i = 1, 3000 do redis.call('DEL', 'd:go' .. i) end"
                try view.cli("EVAL", script, "0")
                while let name = next(directory) { seen[name, default: 0] += 1 }
                #expect((1...3_000).allSatisfy { seen["stay\($0)"] == 1 })
                #expect(seen.values.allSatisfy { $0 == 1 })
            }
        }

        @Test func `a position is found again, near and far, and from the beginning`() throws {
            try withKeys(prepare: { try Self.fill($0, "k", 5_000) }) { (view) throws in
                let directory = try #require(opendir(view.path))
                defer { closedir(directory) }
                var names: [String] = []
                var positions: [Int] = []
                while let name = next(directory) {
                    names.append(name)
                    positions.append(telldir(directory))
                }
                #expect(Set(names).count == 5_002)
                for index in [4_990, 4_000, 10, 2_500, 0] {
                    seekdir(directory, positions[index])
                    #expect(next(directory) == names[index + 1], "behind \(index)")
                }
                rewinddir(directory)
                #expect(next(directory) == ".")
            }
        }

        @Test func `directories of many keys are shown once, and those of one key, too`() throws {
            try withKeys(
                prepare: { server in
                    let script = """
                        for i = 1, 400 do
                          redis.call('SET', 'many:' .. i, i)
                          redis.call('SET', 'one' .. i .. ':k', i)
                        end
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                #expect(try view.shell("ls | wc -l").filter(\.isNumber) == "401")
                #expect(try view.shell("ls many | wc -l").filter(\.isNumber) == "400")
                #expect(try view.shell("find . -type f | wc -l").filter(\.isNumber) == "800")
            }
        }

        @Test func `a tree of many directories is gone through once`() throws {
            try withKeys(
                prepare: { server in
                    let script = """
                        for i = 1, 300 do
                          for j = 1, 5 do redis.call('SET', 'd' .. i .. ':e:k' .. j, j) end
                        end
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                try view.cli("CONFIG", "RESETSTAT")
                #expect(try view.shell("find . -type f | wc -l").filter(\.isNumber) == "1500")
                #expect(try view.shell("cat d*/e/* | wc -c").filter(\.isNumber) == "1500")
                try view.shell(
                    "rm -r d1 d2 d3; ! rmdir d4/e; mkdir n; rmdir n; rm d5/e/*; rmdir d5/e d5")
                #expect(try view.shell("ls | wc -l").filter(\.isNumber) == "296")
                #expect(try view.cli("DBSIZE") == "1480")
                let scans = try view.commandCalls()["scan"] ?? 0
                // Once before changes are announced and once after, two pages each.
                #expect(scans <= 4, "\(scans) calls of SCAN")
            }
        }

        @Test func `what is listed is what is there, whoever makes and removes it`() throws {
            try withKeys(flags: ["--write", "--attr-timeout", "1h", "--entry-timeout", "1h"]) {
                (view) throws in
                let seed = Scale.seed
                var random = SeededRandom(seed: seed)
                let names = [
                    "a", "b", "a:x", "a:y", "a:x:1", "a:x:2", "b:x:1", "b:x:1:z", "c:q:r:s",
                ]
                for round in 0..<60 {
                    let key = names[Int(random.next() % UInt64(names.count))]
                    let path = view.path + "/" + key.replacing(":", with: "/")
                    switch random.next() % 6 {
                    case 0: try view.cli("SET", key, "\(round)")
                    case 1, 2: try view.cli("DEL", key)
                    // A value of the name of the directory is in the way.
                    case 3:
                        try view.shell(
                            "mkdir -p $(dirname \(path)) && echo x > \(path)%value || true")
                    case 4: try view.shell("rm -rf \(path) \(path)%value")
                    default: try view.cli("FLUSHALL")
                    }
                    // What is no value besides a directory has its plain name.
                    let isShown = try Polling.wait {
                        let found = try view.shell(
                            "find . -type f -exec getfattr --only-values -n user.redis.key {} ';' "
                                + "-exec echo ';'")
                        let keys = try view.cli("KEYS", "*")
                        return Set(found.split(separator: "\n")) == Set(keys.split(separator: "\n"))
                    }
                    #expect(isShown, "round \(round), seed \(seed)")
                    if !isShown { return }
                }
            }
        }

        @Test func `a large hash is listed page by page without its values`() throws {
            try withKeys(
                prepare: { server in
                    let script = """
                        for i = 1, 5000 do
                            redis.call('HSET', 'h', 'f' .. i, string.rep('x', 100))
                        end
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                try view.cli("CONFIG", "RESETSTAT")
                #expect(try view.shell("ls | wc -l").filter(\.isNumber) == "5000")
                let calls = try view.commandCalls()
                #expect(calls["hkeys"] == nil && calls["hgetall"] == nil && calls["hget"] == nil)
                #expect(try view.shell("cat h.f1 h.f5000 | wc -c").filter(\.isNumber) == "200")
            }
        }

        @Test func `only what the view is narrowed to can be seen or made`() throws {
            try withKeys(
                flags: ["--write", "--prefix", "a:", "--match", "*:b*", "--depth", "1"],
                prepare: { try $0.cli("MSET", "a:b1", "1", "a:b:c:d", "2", "a:x", "3", "q:b", "4") }
            ) { (view) throws in
                #expect(try view.shell("find . -type f | sort") == "./b/c:d\n./b1\n")
                #expect(!SystemCall.exists(view.path + "/x"))
                #expect(throws: Errno(rawValue: EPERM)) {
                    try SystemCall.writeFile(view.path + "/other", "x")
                }
                try view.shell("echo x > b2; echo y > b/e:f")
                #expect(try view.cli("GET", "a:b:e:f") == "y\n")
            }
        }
    }
}
