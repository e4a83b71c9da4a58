import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct SymlinkTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `the target comes back byte for byte, and is its size`() throws {
            for target in ["file", "../up/and/down", "/absolute", "sp ace\n\t\u{1F426}", "."] {
                let path = place["link\(target.utf8.count)"]
                try SystemCall.symlink(target, path)
                #expect(try SystemCall.readlink(path) == target)
                let status = try SystemCall.lstat(path)
                #expect(status.kind == S_IFLNK)
                #expect(status.permissions == 0o777)
                #expect(status.st_size == target.utf8.count)
            }
        }

        @Test func `a target of 4,095 bytes is kept, one of 4,096 is ENAMETOOLONG`() throws {
            let longest = String(repeating: "x", count: 4_095)
            try SystemCall.symlink(longest, place["longest"])
            #expect(try SystemCall.readlink(place["longest"]) == longest)
            #expect(throws: Errno.nameTooLong) {
                try SystemCall.symlink(longest + "x", place["longer"])
            }
        }

        @Test func `links are followed to files and through directories`() throws {
            try SystemCall.mkdir(place["directory"])
            try SystemCall.writeFile(place["directory/file"], "text")
            try SystemCall.symlink("directory", place["shortcut"])
            try SystemCall.symlink("shortcut/file", place["twice"])
            #expect(try SystemCall.readFile(place["shortcut/file"]) == Array("text".utf8))
            #expect(try SystemCall.readFile(place["twice"]) == Array("text".utf8))
        }

        @Test func `a circle is ELOOP`() throws {
            try SystemCall.symlink("b", place["a"])
            try SystemCall.symlink("a", place["b"])
            #expect(throws: Errno(rawValue: ELOOP)) { try SystemCall.stat(place["a"]) }
        }

        @Test func `a name that is there is EEXIST, and readlink of another kind EINVAL`() throws {
            try SystemCall.writeFile(place["file"])
            #expect(throws: Errno.exists) { try SystemCall.symlink("x", place["file"]) }
            #expect(throws: Errno.invalid) { try SystemCall.readlink(place["file"]) }
            #expect(throws: Errno.invalid) { try SystemCall.readlink(place.path) }
            #expect(throws: Errno.noEntry) { try SystemCall.symlink("", place["empty"]) }
        }

        @Test func `a link belongs to who made it and can be given away by itself`() throws {
            try SystemCall.chmod(place.path, 0o777)
            try Person.alice.run { try SystemCall.symlink("nowhere", place["link"]) }
            #expect(try SystemCall.lstat(place["link"]).st_uid == Person.alice.user)
            try SystemCall.chown(place["link"], user: 60_002, group: 60_003)
            #expect(try SystemCall.lstat(place["link"]).st_uid == 60_002)
            #expect(try SystemCall.lstat(place["link"]).st_gid == 60_003)
        }

        @Test func `a path that leads nowhere or through what is closed is refused`() throws {
            try SystemCall.writeFile(place["file"])
            #expect(throws: Errno.noEntry) { try SystemCall.symlink("", place["new"]) }
            #expect(throws: Errno.noEntry) { try SystemCall.symlink("x", place["missing/new"]) }
            #expect(throws: Errno.notDirectory) { try SystemCall.symlink("x", place["file/new"]) }
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) { try SystemCall.symlink("x", place["new"]) }
            }
            #expect(throws: Errno.noEntry) { try SystemCall.readlink(place["new"]) }
        }
    }
}
