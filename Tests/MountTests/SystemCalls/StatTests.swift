import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct StatTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `path, descriptor and every name tell the same`() throws {
            try SystemCall.writeFile(place["file"], "0123456789")
            try SystemCall.link(place["file"], place["other"])
            try SystemCall.symlink("file", place["link"])
            let file = try Descriptor(place["file"], O_RDONLY)
            let wanted = try file.status()
            #expect(wanted.kind == S_IFREG)
            #expect(wanted.st_size == 10)
            #expect(wanted.st_nlink == 2)
            #expect(wanted.st_blksize > 0)
            for name in ["file", "other", "link"] {
                let status = try SystemCall.stat(place[name])
                #expect(status.st_ino == wanted.st_ino)
                #expect(status.st_dev == wanted.st_dev)
                #expect(status.changeTime == wanted.changeTime)
            }
            #expect(try SystemCall.lstat(place["link"]).kind == S_IFLNK)
            #expect(try SystemCall.stat(place.path).st_dev == wanted.st_dev)
        }

        @Test func `st_blocks follows what is stored, to the end of the file`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            #expect(try file.status().st_blocks == 0)
            try file.write([1])
            #expect(try file.status().st_blocks == 8)
            try file.sync()
            #expect(try file.status().st_blocks == 8)
            try file.truncate(10 << 20)
            #expect(try file.status().st_blocks == 126_976 / 512)
            try file.write(Bytes.pattern(126_976, seed: 1), at: 126_976)
            #expect(try file.status().st_blocks == 2 * 126_976 / 512)
            try file.sync()
            #expect(try file.status().st_blocks == 2 * 126_976 / 512)
            try file.truncate(0)
            #expect(try file.status().st_blocks == 0)
        }

        @Test func `a new inode has its three times at once, close to the clock`() throws {
            let before = Instant.now
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["directory"])
            for name in ["file", "directory"] {
                let status = try SystemCall.stat(place[name])
                #expect(status.accessTime == status.modificationTime)
                #expect(status.modificationTime == status.changeTime)
                #expect(status.changeTime.seconds >= before.seconds - 1)
                #expect(status.changeTime.seconds <= Instant.now.seconds + 1)
            }
        }

        @Test func `a path that leads nowhere says why`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["closed"], 0o700)
            try SystemCall.symlink("loop", place["loop"])
            #expect(throws: Errno.noEntry) { try SystemCall.stat(place["missing"]) }
            #expect(throws: Errno.noEntry) { try SystemCall.stat("") }
            #expect(throws: Errno.notDirectory) { try SystemCall.stat(place["file/x"]) }
            #expect(throws: Errno.notDirectory) { try SystemCall.stat(place["file/"]) }
            #expect(throws: Errno(rawValue: ELOOP)) { try SystemCall.stat(place["loop"]) }
            #expect(throws: Errno.nameTooLong) {
                try SystemCall.stat(place[String(repeating: "n", count: 256)])
            }
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) { try SystemCall.stat(place["closed/x"]) }
            }
        }
    }
}
