import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    @Suite struct ReadWriteTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        /// Offsets at and around the edges of pages, of blocks of each size, and of large requests.
        static let edges = [
            0, 1, 511, 4_095, 4_096, 4_097, 65_535, 126_975, 126_976, 126_977, 131_072, 253_952,
            1_048_575, 1_048_576, 1_048_577,
        ]

        @Test(arguments: edges)
        func `bytes written at an odd place come back, and nothing beside them changes`(
            offset: Int
        ) throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            var model = Bytes.pattern(1_400_000, seed: 1)
            try file.writeAll(model)
            for count in [1, 3, 4_096, 5_000, 130_001] {
                let piece = Bytes.pattern(count, seed: UInt64(count))
                #expect(try file.write(piece, at: offset) == count)
                model.replaceSubrange(offset..<offset + count, with: piece)
            }
            #expect(try file.read(model.count + 1, at: 0) == model)
            #expect(try file.read(7, at: offset) == Array(model[offset..<offset + 7]))
            try file.close()
            #expect(try SystemCall.readFile(place["file"]) == model)
        }

        @Test(arguments: edges)
        func `a write past the end leaves a hole that reads as zeros`(offset: Int) throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write(Array("head".utf8), at: 0)
            try file.write(Array("tail".utf8), at: offset + 4)
            let wanted =
                Array("head".utf8) + [UInt8](repeating: 0, count: offset) + Array("tail".utf8)
            #expect(try file.read(wanted.count + 10, at: 0) == wanted)
            #expect(try file.status().st_size == wanted.count)
        }

        @Test func `reading at and past the end returns nothing`() throws {
            try SystemCall.writeFile(place["file"], "0123456789")
            let file = try Descriptor(place["file"], O_RDONLY)
            #expect(try file.read(100, at: 8) == Array("89".utf8))
            for offset in [10, 11, 4_096, 1 << 20, 1 << 40] {
                #expect(try file.read(100, at: offset) == [])
            }
        }

        @Test func `reads and writes of nothing succeed and change nothing`() throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            let file = try Descriptor(place["file"], O_RDWR)
            #expect(try file.write([]) == 0)
            #expect(try file.write([], at: 1_000) == 0)
            #expect(try file.read(0) == [])
            let status = try file.status()
            #expect(status.st_size == 4)
            #expect(status.modificationTime.seconds == 5)
        }

        @Test func `a negative offset is EINVAL`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            #expect(throws: Errno.invalid) { try file.read(1, at: -1) }
            #expect(throws: Errno.invalid) { try file.write([1], at: -1) }
            #expect(throws: Errno.invalid) { try file.seek(-1) }
        }

        @Test func `the offset moves with each read and write and by lseek`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write(Array("abcdef".utf8))
            #expect(try file.seek(0, SEEK_CUR) == 6)
            #expect(try file.seek(-2, SEEK_END) == 4)
            #expect(try file.read(10) == Array("ef".utf8))
            #expect(try file.seek(100, SEEK_SET) == 100)
            try file.write(Array("x".utf8))
            #expect(try file.status().st_size == 101)
        }

        @Test func `readv and writev gather in order`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            var first = Array("one".utf8)
            var second = Bytes.pattern(70_000, seed: 3)
            let written = first.withUnsafeMutableBytes { one in
                second.withUnsafeMutableBytes { two in
                    let pieces = [
                        iovec(iov_base: one.baseAddress, iov_len: one.count),
                        iovec(iov_base: two.baseAddress, iov_len: two.count),
                    ]
                    return writev(file.raw, pieces, 2)
                }
            }
            #expect(written == 70_003)
            #expect(try file.read(80_000, at: 0) == first + second)
        }

        @Test func `a file of four terabytes with one byte at its end takes almost no space`()
            throws
        {
            let offset = (1 << 42) - 1
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write([42], at: offset)
            try file.sync()
            let status = try file.status()
            #expect(status.st_size == offset + 1)
            #expect(status.st_blocks * 512 <= 2 << 20)
            #expect(try file.read(10, at: offset - 3) == [0, 0, 0, 42])
            #expect(try file.read(4, at: 1 << 32) == [0, 0, 0, 0])
        }

        @Test func `a write moves mtime and ctime, a read neither`() throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            let before = try SystemCall.stat(place["file"])
            _ = try SystemCall.readFile(place["file"])
            let read = try SystemCall.stat(place["file"])
            #expect(read.modificationTime == before.modificationTime)
            #expect(read.changeTime == before.changeTime)
            let file = try Descriptor(place["file"], O_WRONLY)
            try file.write([1])
            let written = try SystemCall.stat(place["file"])
            #expect(written.modificationTime > before.modificationTime)
            #expect(written.changeTime > before.changeTime)
        }

        @Test func `threads that write disjoint parts of one file all keep their bytes`() throws {
            let path = place["file"]
            let piece = 10_007
            try SystemCall.writeFile(path)
            let failures = Locked<[String]>([])
            let threads = (0..<4).map { writer in
                TestThread(name: "writer") {
                    do throws(Errno) {
                        let file = try Descriptor(path, O_WRONLY)
                        for index in stride(from: writer, to: 80, by: 4) {
                            try file.write(
                                Bytes.pattern(piece, seed: UInt64(index)), at: index * piece)
                        }
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                    }
                }
            }
            for thread in threads { thread.join() }
            #expect(failures.withLock { $0 } == [])
            let wanted = (0..<80).flatMap { Bytes.pattern(piece, seed: UInt64($0)) }
            #expect(try SystemCall.readFile(path) == wanted)
        }
    }
}
