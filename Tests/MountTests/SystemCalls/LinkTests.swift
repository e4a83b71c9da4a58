import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct LinkTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a second name shares the inode, its bytes and its count`() throws {
            try SystemCall.writeFile(place["one"], "text")
            let before = try SystemCall.stat(place["one"])
            try SystemCall.link(place["one"], place["two"])
            let after = try SystemCall.stat(place["two"])
            #expect(after.st_ino == before.st_ino)
            #expect(after.st_nlink == 2)
            #expect(after.changeTime > before.changeTime)
            let file = try Descriptor(place["two"], O_WRONLY | O_APPEND)
            try file.write(Array("+".utf8))
            #expect(try SystemCall.readFile(place["one"]) == Array("text+".utf8))
            try SystemCall.unlink(place["one"])
            #expect(try SystemCall.stat(place["two"]).st_nlink == 1)
        }

        @Test func `a name that is there is EEXIST, a missing file ENOENT, a directory EPERM`()
            throws
        {
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["directory"])
            #expect(throws: Errno.exists) { try SystemCall.link(place["file"], place["directory"]) }
            #expect(throws: Errno.exists) { try SystemCall.link(place["file"], place["file"]) }
            #expect(throws: Errno.noEntry) { try SystemCall.link(place["missing"], place["new"]) }
            #expect(throws: Errno.notPermitted) {
                try SystemCall.link(place["directory"], place["new"])
            }
        }

        @Test func `links to fifos, sockets and symbolic links are links to themselves`() throws {
            try SystemCall.mknod(place["fifo"], S_IFIFO | 0o644)
            try SystemCall.symlink("nowhere", place["symlink"])
            for name in ["fifo", "symlink"] {
                try SystemCall.link(place[name], place["\(name)2"])
                #expect(
                    try SystemCall.lstat(place["\(name)2"]).st_ino
                        == SystemCall.lstat(place[name]).st_ino)
                #expect(try SystemCall.lstat(place[name]).st_nlink == 2)
            }
        }

        @Test func `a hundred names count to a hundred and back`() throws {
            try SystemCall.writeFile(place["0"], "text")
            for index in 1..<100 { try SystemCall.link(place["0"], place["\(index)"]) }
            #expect(try SystemCall.stat(place["57"]).st_nlink == 100)
            for index in 0..<99 { try SystemCall.unlink(place["\(index)"]) }
            #expect(try SystemCall.stat(place["99"]).st_nlink == 1)
            #expect(try SystemCall.readFile(place["99"]) == Array("text".utf8))
        }

        @Test func `a path that leads nowhere or through what is closed is refused`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["closed"], 0o700)
            try SystemCall.mkdir(place["fixed"], 0o755)
            try SystemCall.symlink("loop", place["loop"])
            #expect(throws: Errno.noEntry) { try SystemCall.link(place["file"], place["no/x"]) }
            #expect(throws: Errno.noEntry) { try SystemCall.link(place["file"], "") }
            #expect(throws: Errno.notDirectory) {
                try SystemCall.link(place["file"], place["file/x"])
            }
            #expect(throws: Errno(rawValue: ELOOP)) {
                try SystemCall.link(place["loop/x"], place["new"])
            }
            try SystemCall.chmod(place["file"], 0o666)
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.link(place["file"], place["closed/x"])
                }
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.link(place["file"], place["fixed/x"])
                }
            }
            #expect(try SystemCall.stat(place["file"]).st_nlink == 1)
        }
    }
}
