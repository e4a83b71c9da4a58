import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    /// write(2), pwrite(2), writev(2) at their limits.
    @Suite struct WriteTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        /// The largest offset of a file: 2^63 - 1.
        private static let largest = Int.max

        @Test func `a file reaches to 2^63 - 1 bytes, and nothing reaches behind that`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            #expect(try file.write([7], at: Self.largest - 1) == 1)
            #expect(try file.status().st_size == Self.largest)
            #expect(try file.read(1, at: Self.largest - 1) == [7])
            #expect(try file.read(2, at: Self.largest - 3) == [0, 0])
            // Linux itself refuses what ends behind the largest offset, whatever the filesystem.
            #expect(throws: Errno.invalid) { try file.write([7], at: Self.largest) }
            #expect(throws: Errno.invalid) { try file.write([1, 2, 3], at: Self.largest - 2) }
            #expect(throws: Errno.fileTooLarge) {
                try file.allocate([], at: Self.largest, count: 1)
            }
            try file.sync()
            try file.close()
            #expect(try SystemCall.stat(place["file"]).st_size == Self.largest)
            try SystemCall.truncate(place["file"], 0)
            try SystemCall.truncate(place["file"], Self.largest)
            #expect(try SystemCall.stat(place["file"]).st_size == Self.largest)
        }

        @Test func `behind the limit of the process a write is EFBIG, and what fits is written`()
            throws
        {
            let script = """
                ulimit -f 8; trap '' XFSZ
                dd if=/dev/zero of="$1" bs=1M count=1
                """
            let run = try ProgramRun.run(["bash", "-c", script, "bash", place["file"]])
            #expect(!run.isSuccess)
            #expect(run.errors.contains("File too large"), "\(run)")
            #expect(try SystemCall.stat(place["file"]).st_size == 8_192)
        }

        @Test func `a bad descriptor, address or count is refused and changes nothing`() throws {
            try SystemCall.writeFile(place["file"], "text")
            let reading = try Descriptor(place["file"], O_RDONLY)
            #expect(throws: Errno.badFileDescriptor) { try reading.write([1]) }
            #expect(throws: Errno.badFileDescriptor) { try reading.write([1], at: 0) }
            let writing = try Descriptor(place["file"], O_RDWR)
            let nowhere = UnsafeRawPointer(bitPattern: 8)
            #expect(write(writing.raw, nowhere, 10) == -1)
            #expect(errno == EFAULT)
            let pieces = [iovec](repeating: iovec(iov_base: nil, iov_len: 0), count: 1_025)
            #expect(writev(writing.raw, pieces, 1_025) == -1)
            #expect(errno == EINVAL)
            #expect(try writing.read(10, at: 0) == Array("text".utf8))
            let directory = try Descriptor(place.path, O_RDONLY)
            #expect(throws: Errno.isDirectory) { try directory.read(10) }
        }

        @Test func `writing nothing at the limit succeeds`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            #expect(try file.write([], at: Self.largest - 1) == 0)
            #expect(try file.status().st_size == 0)
        }
    }
}
