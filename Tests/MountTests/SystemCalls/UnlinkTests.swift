import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct UnlinkTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `an open file works without a name: read, write, truncate, map, stat`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            let bytes = Bytes.pattern(300_000, seed: 9)
            try file.writeAll(bytes)
            try SystemCall.unlink(place["file"])
            #expect(!SystemCall.exists(place["file"]))
            #expect(try file.status().st_nlink == 0)
            #expect(try file.read(400_000, at: 0) == bytes)
            try file.write([1, 2, 3], at: 500_000)
            try file.sync()
            #expect(try file.status().st_size == 500_003)
            #expect(try file.read(10, at: 499_998) == [0, 0, 1, 2, 3])
            let mapping = try Mapping(file, count: 8_192)
            mapping.bytes[5] = 77
            try mapping.sync()
            #expect(try file.read(1, at: 5) == [77])
            try file.chmod(0o600)
            try file.truncate(10)
            #expect(try file.status().st_size == 10)
        }

        @Test func `a new file of the same name is another file`() throws {
            let old = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try old.write(Array("old".utf8))
            try SystemCall.unlink(place["file"])
            try SystemCall.writeFile(place["file"], "new")
            #expect(try old.read(10, at: 0) == Array("old".utf8))
            #expect(try SystemCall.stat(place["file"]).st_ino != old.status().st_ino)
        }

        @Test func `several descriptors of a file without a name see one file`() throws {
            let first = try Descriptor(place["file"], O_RDWR | O_CREAT)
            let second = try Descriptor(place["file"], O_RDWR)
            try SystemCall.unlink(place["file"])
            try first.write(Array("shared".utf8))
            #expect(try second.read(10) == Array("shared".utf8))
            try first.close()
            try second.write(Array("+".utf8))
            #expect(try second.read(10, at: 0) == Array("shared+".utf8))
        }

        @Test func `one of two names leaves the other, with a later ctime`() throws {
            try SystemCall.writeFile(place["one"], "text")
            try SystemCall.link(place["one"], place["two"])
            let before = try SystemCall.stat(place["two"])
            try SystemCall.unlink(place["one"])
            let after = try SystemCall.stat(place["two"])
            #expect(after.st_nlink == 1)
            #expect(after.changeTime > before.changeTime)
        }

        @Test func `a symbolic link goes, its target stays`() throws {
            try SystemCall.writeFile(place["target"], "kept")
            try SystemCall.symlink("target", place["link"])
            try SystemCall.unlink(place["link"])
            #expect(try SystemCall.readFile(place["target"]) == Array("kept".utf8))
        }

        @Test func `a missing name is ENOENT, a directory EISDIR`() throws {
            try SystemCall.mkdir(place["directory"])
            #expect(throws: Errno.noEntry) { try SystemCall.unlink(place["missing"]) }
            #expect(throws: Errno.isDirectory) { try SystemCall.unlink(place["directory"]) }
        }

        @Test func `the directory's times advance`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.setTimes(place.path, access: (5, 0), modification: (5, 0))
            try SystemCall.unlink(place["file"])
            #expect(try SystemCall.stat(place.path).modificationTime.seconds > 5)
        }

        @Test func `only who may write the directory unlinks, and in a sticky one only owners`()
            throws
        {
            try SystemCall.mkdir(place["closed"], 0o755)
            try SystemCall.writeFile(place["closed/file"], [], mode: 0o666)
            try SystemCall.mkdir(place["tmp"])
            try SystemCall.chmod(place["tmp"], 0o1777)
            try Person.alice.run { try SystemCall.writeFile(place["tmp/hers"], [], mode: 0o666) }
            try Person.bob.run { () throws in
                #expect(throws: Errno.accessDenied) { try SystemCall.unlink(place["closed/file"]) }
                #expect(throws: Errno.notPermitted) { try SystemCall.unlink(place["tmp/hers"]) }
            }
            try Person.alice.run { try SystemCall.unlink(place["tmp/hers"]) }
        }
    }
}
