import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct TruncateTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test(arguments: [0, 1, 4_095, 4_096, 126_975, 126_976, 126_977, 299_999])
        func `what was cut off does not come back when the file grows again`(size: Int) throws {
            let bytes = Bytes.pattern(300_000, seed: 5)
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll(bytes)
            try file.sync()
            try file.truncate(size)
            #expect(try file.read(400_000, at: 0) == Array(bytes[..<size]))
            try file.truncate(350_000)
            let wanted = bytes[..<size] + [UInt8](repeating: 0, count: 350_000 - size)
            #expect(try file.read(400_000, at: 0) == Array(wanted))
            try file.close()
            #expect(try SystemCall.readFile(place["file"]) == Array(wanted))
        }

        @Test(arguments: [0, 1, 4_095, 4_096, 126_975, 126_976, 126_977, 299_999])
        func `cut off and written behind it, the gap reads as zeros`(size: Int) throws {
            let bytes = Bytes.pattern(300_000, seed: 6)
            try SystemCall.writeFile(place["file"], bytes)
            try SystemCall.truncate(place["file"], size)
            let file = try Descriptor(place["file"], O_RDWR)
            try file.write([1, 2, 3], at: 320_000)
            let wanted = bytes[..<size] + [UInt8](repeating: 0, count: 320_000 - size) + [1, 2, 3]
            #expect(try file.read(400_000, at: 0) == Array(wanted))
        }

        @Test func `truncate takes the size of a path and ftruncate that of a descriptor`() throws {
            try SystemCall.writeFile(place["file"], "0123456789")
            try SystemCall.truncate(place["file"], 4)
            #expect(try SystemCall.readFile(place["file"]) == Array("0123".utf8))
            let file = try Descriptor(place["file"], O_RDWR)
            try file.truncate(2)
            #expect(try SystemCall.readFile(place["file"]) == Array("01".utf8))
            #expect(throws: Errno.invalid) { try Descriptor(place["file"], O_RDONLY).truncate(0) }
        }

        @Test func `truncating frees the space and moves mtime and ctime`() throws {
            try SystemCall.writeFile(place["file"], Bytes.pattern(1 << 20, seed: 1))
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            let before = try SystemCall.stat(place["file"])
            #expect(before.st_blocks >= 1 << 11)
            try SystemCall.truncate(place["file"], 4_096)
            let after = try SystemCall.stat(place["file"])
            #expect(after.st_blocks < 1 << 10)
            #expect(after.modificationTime.seconds > 5)
            #expect(after.changeTime > before.changeTime)
        }

        @Test func `a directory is EISDIR, a negative size EINVAL, a missing file ENOENT`() throws {
            try SystemCall.writeFile(place["file"])
            #expect(throws: Errno.isDirectory) { try SystemCall.truncate(place.path, 0) }
            #expect(throws: Errno.invalid) { try SystemCall.truncate(place["file"], -1) }
            #expect(throws: Errno.noEntry) { try SystemCall.truncate(place["missing"], 0) }
        }

        @Test func `a file that nobody may write is EACCES for others and 0 for its descriptor`()
            throws
        {
            try SystemCall.chmod(place.path, 0o777)
            try Person.alice.run {
                let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
                try file.write(Array("text".utf8))
                try SystemCall.chmod(place["file"], 0o444)
                #expect(throws: Errno.accessDenied) { try SystemCall.truncate(place["file"], 1) }
                try file.truncate(1)
            }
            #expect(try SystemCall.readFile(place["file"]) == Array("t".utf8))
        }

        @Test func `growing to sizes past 2^32 stores nothing`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            for size in [1 << 32, (1 << 40) + 1, 1 << 33] {
                try file.truncate(size)
                #expect(try file.status().st_size == size)
                #expect(try file.status().st_blocks == 0)
                #expect(try file.read(4, at: size - 2) == [0, 0])
            }
        }
    }
}
