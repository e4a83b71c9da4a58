import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct KeysValueTests {
        @Test func `all bytes can stand in keys, fields and contents`() throws {
            try withKeys(
                prepare: { server in
                    let script = """
                        local all = ''
                        for byte = 0, 255 do
                          local c = string.char(byte)
                          all = all .. c
                          redis.call('SET', 'k' .. c .. 'x', c)
                          redis.call('SET', 'd:' .. c, c)
                          redis.call('HSET', 'h' .. c, 'f' .. c, c)
                        end
                        redis.call('SET', 'all', all)
                        redis.call('SET', '', 'empty'); redis.call('SET', 'd:', 'empty')
                        redis.call('SET', 'd:.', 'dot'); redis.call('SET', 'd:..', 'dots')
                        redis.call('SET', 'long:' .. string.rep('x/', 400), 'long')
                        """
                    try server.cli("EVAL", script, "0")
                }
            ) { (view) throws in
                let count = Int(try view.cli("DBSIZE")) ?? 0
                let before = try view.dump()
                // Each file is found again by its own name and copied onto itself.
                let names = try view.shell("find . -type f -print0 | tr -cd '\\0' | wc -c")
                #expect(Int(names.trimmingCharacters(in: .whitespacesAndNewlines)) == count)
                // Four times each byte; `d:.` stands for one of them.
                let bytes = 4 * 256 + "emptyemptydotdotslong".count - 1
                #expect(try view.shell("find . -type f -exec cat {} + | wc -c") == "\(bytes)\n")
                try view.shell("cp -r . \(view.directory)/out")
                #expect(try view.dump() == before)
                try view.shell("cp -r \(view.directory)/out/. .")
                #expect(try view.dump() == before)
                #expect(
                    try SystemCall.readFile(view.path + "/all") == (0...255).map { UInt8($0) })
                try view.shell("find . -type f -delete; rm -rf ./*; test \"$(ls -A)\" = ''")
                #expect(try view.cli("DBSIZE") == "0")
            }
        }

        @Test func `empty and large values are read and edited in place`() throws {
            try withKeys(
                prepare: { server in
                    try server.cli("SET", "none", "")
                    try server.cli("SETRANGE", "large", "\(100 * 1_000_000 - 1)", "z")
                    try server.cli("EXPIRE", "large", "5000")
                }
            ) { (view) throws in
                #expect(try view.shell("stat -c %s none large") == "0\n100000000\n")
                #expect(try view.shell("tail -c 1 large") == "z")
                try view.cli("CONFIG", "RESETSTAT")
                let file = try Descriptor(view.path + "/large", O_RDWR)
                try file.write(Array("edit".utf8), at: 50_000_000)
                #expect(try file.read(6, at: 49_999_999) == Array("\0edit\0".utf8))
                try file.close()
                #expect(try view.cli("GETRANGE", "large", "50000000", "50000003") == "edit")
                #expect(try view.cli("STRLEN", "large") == "100000000")
                #expect(try Int(view.cli("TTL", "large")).map { $0 > 4_000 } == true)
                let calls = try view.commandCalls()
                #expect(calls["setrange"] == 1 && calls["set"] == nil && calls["get"] == nil)
                // A few pages and the first 64 KiB, not the value.
                let sent = try view.sentBytes()
                #expect(sent.map { $0 < 2_000_000 } == true, "\(sent ?? -1) bytes left the server")
                try view.shell("truncate -s 10 large; truncate -s 20 large; truncate -s 5 none")
                #expect(try view.cli("STRLEN", "large") == "20")
                #expect(try view.cli("STRLEN", "none") == "5")
                #expect(try Int(view.cli("TTL", "large")).map { $0 > 4_000 } == true)
                try view.shell("head -c 100000000 /dev/zero | tr '\\0' x > copy; cmp copy copy")
                #expect(try view.cli("STRLEN", "copy") == "100000000")
                #expect(try view.cli("GETRANGE", "copy", "99999990", "-1") == "xxxxxxxxxx")
            }
        }

        @Test func `an append is one command and keeps what others append`() throws {
            try withKeys(prepare: { try $0.cli("SET", "log", "0\n") }) { (view) throws in
                let file = try Descriptor(view.path + "/log", O_WRONLY | O_APPEND)
                try view.cli("APPEND", "log", "other\n")
                try file.write(Array("mine\n".utf8))
                try file.close()
                #expect(try view.cli("GET", "log") == "0\nother\nmine\n")
            }
        }

        @Test func `changes of others appear in open files and names`() throws {
            try withKeys(
                flags: ["--write", "--attr-timeout", "1h", "--entry-timeout", "1h"],
                prepare: { try $0.cli("MSET", "k", "old", "d:k", "x") }
            ) { (view) throws in
                let file = try Descriptor(view.path + "/k", O_RDONLY)
                #expect(try file.read(10, at: 0) == Array("old".utf8))
                _ = try SystemCall.stat(view.path + "/d/k")
                try view.cli("SET", "k", "changed")
                try view.cli("DEL", "d:k")
                try view.cli("SET", "new:a:b", "x")
                #expect(
                    try Polling.wait { try file.read(10, at: 0) == Array("changed".utf8) })
                #expect(Polling.wait { !SystemCall.exists(view.path + "/d/k") })
                #expect(Polling.wait { SystemCall.exists(view.path + "/new/a/b") })
                #expect(try view.shell("ls d | wc -l | tr -d ' '") == "0\n")
                #expect(!SystemCall.exists(view.path + "/d"))
            }
        }

        @Test(arguments: ["notifications", "none"])
        func `without tracking, notifications or the time limits show changes`(
            changes: String
        ) throws {
            try withKeys(
                flags: [
                    "--changes", changes, "--refresh", "100ms", "--attr-timeout", "50ms",
                    "--entry-timeout", "50ms",
                ],
                prepare: { server in
                    try server.cli("CONFIG", "SET", "notify-keyspace-events", "KEA")
                    try server.cli("SET", "k", "old")
                }
            ) { (view) throws in
                #expect(try view.shell("cat k; ls") == "oldk\n")
                try view.cli("SET", "k", "changed")
                try view.cli("SET", "new:a", "x")
                #expect(try Polling.wait { try view.shell("cat k") == "changed" })
                #expect(Polling.wait { SystemCall.exists(view.path + "/new/a") })
                let way = changes == "none" ? "after the time limits only" : "by=notifications"
                #expect(view.log().contains(way))
            }
        }

        @Test func `touching the updater goes through the keys again`() throws {
            try withKeys(
                flags: ["--write", "--changes", "none", "--refresh", "1h"]
            ) { (view) throws in
                try view.shell("test ! -e later; ls")
                try view.cli("SET", "later:k", "x")
                try view.shell("test ! -e later; touch .updater; test -e later/k")
                #expect(try view.cli("EXISTS", ".updater") == "0")
            }
        }
    }
}
