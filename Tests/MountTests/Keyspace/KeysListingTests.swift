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
