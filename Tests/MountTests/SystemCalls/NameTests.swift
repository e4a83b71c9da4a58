import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct NameTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a name of 255 bytes is kept, also one of multi-byte characters`() throws {
            for name in [
                String(repeating: "n", count: 255), String(repeating: "\u{E9}", count: 127) + "x",
            ] {
                try SystemCall.writeFile(place[name], "text")
                #expect(try SystemCall.readFile(place[name]) == Array("text".utf8))
                #expect(try Listing.names(place.path).contains(name))
                try SystemCall.rename(place[name], place["short"])
                try SystemCall.rename(place["short"], place[name])
                try SystemCall.unlink(place[name])
            }
        }

        @Test func `a name of 256 bytes is ENAMETOOLONG for every call`() throws {
            let long = place[String(repeating: "n", count: 256)]
            try SystemCall.writeFile(place["file"])
            let calls: [(String, () throws -> Void)] = [
                ("open", { _ = try Descriptor(long, O_RDONLY) }),
                ("create", { _ = try Descriptor(long, O_WRONLY | O_CREAT) }),
                ("stat", { _ = try SystemCall.stat(long) }),
                ("mkdir", { try SystemCall.mkdir(long) }),
                ("mknod", { try SystemCall.mknod(long, S_IFIFO | 0o644) }),
                ("symlink", { try SystemCall.symlink("x", long) }),
                ("link", { try SystemCall.link(place["file"], long) }),
                ("rename", { try SystemCall.rename(place["file"], long) }),
                ("rename from", { try SystemCall.rename(long, place["file"]) }),
                ("unlink", { try SystemCall.unlink(long) }),
                ("rmdir", { try SystemCall.rmdir(long) }),
                ("chmod", { try SystemCall.chmod(long, 0o644) }),
                ("truncate", { try SystemCall.truncate(long, 0) }),
            ]
            for (name, call) in calls {
                #expect(throws: Errno.nameTooLong, "\(name)") { try call() }
            }
        }

        @Test func `every byte but NUL and slash is a name`() throws {
            let directory = try Descriptor(place.path, O_RDONLY | O_DIRECTORY)
            for byte in UInt8(1)...255 where byte != UInt8(ascii: "/") && byte != UInt8(ascii: ".")
            {
                let name: [CChar] = [CChar(bitPattern: byte), 0]
                let file = openat(
                    directory.raw, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
                #expect(file >= 0, "byte \(byte)")
                close(file)
            }
            let stream = try Listing.Stream(place.path)
            #expect(try stream.rest().count == 253 + 2)
            for byte in UInt8(1)...255 where byte != UInt8(ascii: "/") && byte != UInt8(ascii: ".")
            {
                let name: [CChar] = [CChar(bitPattern: byte), 0]
                #expect(unlinkat(directory.raw, name, 0) == 0, "byte \(byte)")
            }
        }

        @Test func `case matters, and so does how an accent is written`() throws {
            let names = ["name", "Name", "\u{E9}", "e\u{301}"]
            for name in names { try SystemCall.writeFile(place[name], Array(name.utf8)) }
            for name in names {
                #expect(try SystemCall.readFile(place[name]) == Array(name.utf8))
            }
            #expect(try Listing.entries(place.path).count == 6)
        }
    }
}
