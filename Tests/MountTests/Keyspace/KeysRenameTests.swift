import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct KeysRenameTests {
        private static func fill(_ server: RedisServer) throws {
            try server.cli("MSET", "s", "string", "t", "other", "d:a", "1", "d:e:b", "2")
            try server.cli("HSET", "h", "f", "field", "g", "other")
            try server.cli("RPUSH", "l", "x")
            try server.cli("SET", "brief", "b", "EX", "1000")
        }

        private func rename(
            _ view: KeysMount, _ from: String, _ to: String, flags: UInt32 = 0
        ) throws -> Int32? {
            do throws(Errno) {
                try SystemCall.rename(view.path + "/" + from, view.path + "/" + to, flags: flags)
                return nil
            } catch {
                return error.rawValue
            }
        }

        @Test func `values move between strings and fields at once, and nothing is lost`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                #expect(try rename(view, "h.f", "k.f") == nil)
                #expect(try view.cli("HGET", "k", "f") == "field")
                #expect(try rename(view, "s", "k.s") == nil)
                #expect(try rename(view, "h.g", "k.s") == nil)
                #expect(try view.cli("HGET", "k", "s") == "other")
                #expect(try view.cli("EXISTS", "s", "h") == "0")
                #expect(try rename(view, "k.s", "t") == nil)
                #expect(try view.cli("GET", "t") == "other")
                // An expiry of one key cannot become one of a field.
                #expect(try rename(view, "brief", "k.b") == EXDEV)
                #expect(try view.cli("GET", "brief") == "b")
                let noReplace = UInt32(1)
                #expect(try rename(view, "t", "k.f", flags: noReplace) == EEXIST)
                #expect(try rename(view, "t", "brief", flags: noReplace) == EEXIST)
                let exchange = UInt32(2)
                #expect(try rename(view, "t", "brief", flags: exchange) == EINVAL)
                for (from, to) in [("l", "m"), ("t", "l"), ("t", "k"), ("k.f", "l")] {
                    #expect(try rename(view, from, to) == EACCES, "\(from) to \(to)")
                }
                #expect(try rename(view, "t", "d") == EISDIR)
                #expect(try rename(view, "none", "t") == ENOENT)
            }
        }

        @Test func `a directory moves with all its keys, or not at all`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                try view.cli("EXPIRE", "d:a", "1000")
                #expect(try rename(view, "d", "new") == nil)
                #expect(try view.cli("MGET", "new:a", "new:e:b") == "1\n2")
                #expect(try Int(view.cli("TTL", "new:a")).map { $0 > 900 } == true)
                #expect(try view.shell("cat new/a new/e/b; ! test -e d") == "12")
                try view.cli("SET", "full:k", "x")
                #expect(try Polling.wait { try view.shell("ls full") == "k\n" })
                #expect(try rename(view, "new", "full") == ENOTEMPTY)
                #expect(try rename(view, "new", "new/e/deep") == EINVAL)
                #expect(try rename(view, "new", "t") == ENOTDIR)
                // What is open for writing there would be stored under its old name.
                let file = try Descriptor(view.path + "/new/a", O_RDWR)
                #expect(try rename(view, "new", "moved") == EXDEV)
                try file.close()
                #expect(try rename(view, "new", "moved") == nil)
                #expect(try view.cli("EXISTS", "moved:a", "moved:e:b", "new:a", "new:e:b") == "2")
            }
        }

        @Test func `a file that is open goes on under its new name`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let file = try Descriptor(view.path + "/s", O_RDWR)
                try file.write(Array("S".utf8), at: 0)
                #expect(try rename(view, "s", "moved") == nil)
                try file.write(Array("G".utf8), at: 5)
                try file.close()
                #expect(try view.cli("GET", "moved") == "StrinG")
                #expect(try view.cli("EXISTS", "s") == "0")
            }
        }
    }
}
