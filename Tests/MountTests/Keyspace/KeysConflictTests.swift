import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct KeysConflictTests {
        /// Opens a file, has somebody else change the value, writes, and closes.
        private func collide(
            _ view: KeysMount, _ name: String, flags: Int32 = O_RDWR, other: [String]
        ) throws -> Errno? {
            let file = try Descriptor(view.path + "/" + name, flags)
            try view.server.cli(words: other)
            do throws(Errno) {
                try file.write(Array("MINE".utf8), at: 0)
                try file.close()
                return nil
            } catch {
                return error
            }
        }

        private static func fill(_ server: RedisServer) throws {
            try server.cli("MSET", "small", "1234567890", "gone", "1234567890")
            try server.cli("HSET", "h", "f", "1234567890", "g", "x")
            try server.cli("SETRANGE", "large", "199999", "z")
            try server.cli("EXPIRE", "small", "5000")
        }

        @Test func `a close that would lose what others stored fails`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let stale = Errno(rawValue: ESTALE)
                #expect(try collide(view, "small", other: ["SET", "small", "theirs"]) == stale)
                #expect(
                    try collide(
                        view, "small", flags: O_WRONLY | O_TRUNC, other: ["SET", "small", "again"])
                        == stale)
                #expect(
                    try collide(view, "large", other: ["SETRANGE", "large", "9", "x"]) == stale)
                #expect(try collide(view, "h.f", other: ["HSET", "h", "f", "theirs"]) == stale)
                #expect(try collide(view, "gone", other: ["DEL", "gone"]) == stale)
                #expect(try view.cli("GET", "small") == "again")
                #expect(try view.cli("HGET", "h", "f") == "theirs")
                #expect(try view.cli("EXISTS", "gone") == "0")
                #expect(view.log().contains("somebody else has changed the value"))
            }
        }

        @Test func `a touch or another field is no conflict`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                #expect(try collide(view, "small", other: ["EXPIRE", "small", "4000"]) == nil)
                #expect(try collide(view, "small", other: ["SET", "small", "MINE567890"]) == nil)
                #expect(try collide(view, "h.f", other: ["HSET", "h", "g", "theirs"]) == nil)
                #expect(try view.cli("GET", "small") == "MINE567890")
                #expect(try view.cli("HGET", "h", "f") == "MINE567890")
                #expect(try view.cli("HGET", "h", "g") == "theirs")
            }
        }

        @Test func `overwriting is done where it was asked for`() throws {
            try withKeys(flags: ["--write", "--on-conflict", "overwrite"], prepare: Self.fill) {
                (view) throws in
                #expect(try collide(view, "small", other: ["SET", "small", "theirs"]) == nil)
                #expect(try collide(view, "large", other: ["SETRANGE", "large", "9", "x"]) == nil)
                #expect(try collide(view, "gone", other: ["DEL", "gone"]) == nil)
                #expect(try view.cli("GET", "small") == "MINE567890")
                #expect(try view.cli("GETRANGE", "large", "0", "3") == "MINE")
                #expect(try view.cli("GETRANGE", "large", "9", "9") == "x")
                #expect(try view.cli("GET", "gone") == "MINE567890")
            }
        }

        @Test func `both are kept where that was asked for`() throws {
            try withKeys(flags: ["--write", "--on-conflict", "keep-both"], prepare: Self.fill) {
                (view) throws in
                #expect(try collide(view, "small", other: ["SET", "small", "theirs"]) == nil)
                #expect(try collide(view, "h.f", other: ["HSET", "h", "f", "theirs"]) == nil)
                #expect(try view.cli("GET", "small") == "theirs")
                #expect(try view.cli("GET", "small~conflict-1") == "MINE567890")
                #expect(try view.cli("HGET", "h", "f") == "theirs")
                #expect(try view.cli("HGET", "h", "f~conflict-1") == "MINE567890")
            }
        }

        @Test func `two editors on one mount see each other`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let one = try Descriptor(view.path + "/small", O_RDWR)
                let two = try Descriptor(view.path + "/small", O_RDWR)
                try one.write(Array("AA".utf8), at: 0)
                #expect(try two.read(4, at: 0) == Array("AA34".utf8))
                try two.write(Array("BB".utf8), at: 8)
                try one.close()
                try two.close()
                #expect(try view.cli("GET", "small") == "AA345678BB")
            }
        }

        @Test func `two mounts that edit one value lose nothing silently`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                try withKeys(view.server) { (second) throws in
                    let one = try Descriptor(view.path + "/small", O_RDWR)
                    let two = try Descriptor(second.path + "/small", O_RDWR)
                    try one.write(Array("one".utf8), at: 0)
                    try two.write(Array("two".utf8), at: 0)
                    try one.close()
                    #expect(throws: Errno(rawValue: ESTALE)) { try two.close() }
                    #expect(try view.cli("GET", "small") == "one4567890")
                }
            }
        }

        @Test func `a key that is deleted while it is open`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let mine = try Descriptor(view.path + "/small", O_RDWR)
                try SystemCall.unlink(view.path + "/small")
                #expect(try view.cli("EXISTS", "small") == "0")
                #expect(try mine.read(20, at: 0) == Array("1234567890".utf8))
                try mine.write(Array("!".utf8), at: 10)
                #expect(try mine.status().st_size == 11)
                try mine.close()
                #expect(try view.cli("EXISTS", "small") == "0")
                // By somebody else: no end of file is made up.
                let theirs = try Descriptor(view.path + "/large", O_RDONLY)
                try view.cli("DEL", "large")
                #expect(Polling.wait { !SystemCall.exists(view.path + "/large") })
                #expect(throws: Errno(rawValue: ESTALE)) { try theirs.read(10, at: 100_000) }
            }
        }

        @Test func `a server that is restarted is used again, and edits go on`() throws {
            let server = try RedisServer(arguments: ["--appendonly", "yes"])
            try Self.fill(server)
            try withKeys(server) { (view) throws in
                let file = try Descriptor(view.path + "/small", O_RDWR)
                let large = try Descriptor(view.path + "/large", O_RDWR)
                try server.restart()
                try file.write(Array("MINE".utf8), at: 0)
                try file.close()
                #expect(try view.cli("GET", "small") == "MINE567890")
                try large.write(Array("MINE".utf8), at: 0)
                try large.close()
                #expect(try view.cli("GETRANGE", "large", "0", "3") == "MINE")
                try view.shell("cat small h.f > copy; test -s copy; mkdir d; echo x > d/k")
                try view.cli("SET", "later:k", "x")
                #expect(Polling.wait { SystemCall.exists(view.path + "/later/k") })
            }
        }

        /// Bytes of a value, whether somebody changes it while nobody watches, and what the close then says.
        /// What is larger than a digest is made of cannot be known to be the same.
        @Test(arguments: [
            (200_000, false, nil), (200_000, true, ESTALE), (1_048_576, false, nil),
            (1_048_577, false, ESTALE), (65_536, false, nil), (65_537, true, ESTALE),
        ])
        func `an edit outlives its connection when the value is known to be the same`(
            length: Int, isChanged: Bool, failure: Int32?
        ) throws {
            let fill = { (server: RedisServer) in
                _ = try server.cli("SETRANGE", "v", "\(length - 1)", "z")
            }
            try withKeys(prepare: fill) { (view) throws in
                let file = try Descriptor(view.path + "/v", O_RDWR)
                // What was stored since the open counts, not what was there before.
                try file.write(Array("FIRST".utf8), at: 0)
                try file.sync()
                try view.cli("CLIENT", "KILL", "TYPE", "normal")
                if isChanged { try view.cli("SETRANGE", "v", "9", "x") }
                try file.write(Array("MINE".utf8), at: 20)
                var closed: Int32?
                do throws(Errno) { try file.close() } catch { closed = error.rawValue }
                #expect(closed == failure)
                let stored = try view.cli("GETRANGE", "v", "20", "23")
                #expect((stored == "MINE") == (failure == nil))
                #expect(try view.cli("STRLEN", "v") == "\(length)")
            }
        }

        @Test func `without a server calls fail in time, and work again with it`() throws {
            try withKeys(flags: ["--write", "--io-timeout", "300ms"], prepare: Self.fill) {
                (view) throws in
                view.server.stop()
                #expect(throws: Errno(rawValue: EIO)) {
                    try SystemCall.readFile(view.path + "/small")
                }
                try view.server.start()
                try view.cli("SET", "small", "back")
                #expect(
                    Polling.wait {
                        (try? SystemCall.readFile(view.path + "/small")) == Array("back".utf8)
                    })
            }
        }
    }
}
