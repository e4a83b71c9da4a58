import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct LseekTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        private static let block = 126_976

        @Test(arguments: [false, true])
        func `SEEK_DATA and SEEK_HOLE find what is written, stored or not yet`(isStored: Bool)
            throws
        {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write([1], at: 3 * Self.block + 5)
            try file.write([1], at: 7 * Self.block)
            try file.truncate(10 * Self.block)
            if isStored { try file.sync() }
            #expect(try file.seekHole(0) == 0)
            #expect(try file.seekData(0) == 3 * Self.block)
            #expect(try file.seekData(3 * Self.block + 100) == 3 * Self.block + 100)
            #expect(try file.seekHole(3 * Self.block) == 3 * Self.block + 4_096)
            #expect(try file.seekData(4 * Self.block) == 7 * Self.block)
            #expect(try file.seekHole(7 * Self.block + 1) == 7 * Self.block + 4_096)
            #expect(throws: Errno.noSuchDevice) { try file.seekData(8 * Self.block) }
            #expect(try file.seekHole(9 * Self.block) == 9 * Self.block)
        }

        @Test(arguments: [false, true])
        func `a page of zeros within a block is a hole, punched, skipped or written`(isStored: Bool)
            throws
        {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll([UInt8](repeating: 1, count: 200_000))
            try file.allocate([.punchHole, .keepSize], at: 8_192, count: 8_192)
            try file.write([UInt8](repeating: 0, count: 4_096), at: 40_960)
            try file.write([1], at: 400_000)
            if isStored { try file.sync() }
            #expect(try file.seekHole(0) == 8_192)
            #expect(try file.seekHole(10_000) == 10_000)
            #expect(try file.seekData(10_000) == 16_384)
            #expect(try file.seekData(20_000) == 20_000)
            #expect(try file.seekHole(20_000) == 40_960)
            #expect(try file.seekData(40_960) == 45_056)
            // What was written ends within the page at 196,608.
            #expect(try file.seekHole(45_056) == 200_704)
            #expect(try file.seekData(200_704) == 397_312)
            #expect(try file.seekHole(399_000) == 400_001)
        }

        @Test func `a file of zeros is a hole, and behind 4 MiB only blocks are looked at`() throws
        {
            let zeros = try Descriptor(place["zeros"], O_RDWR | O_CREAT)
            try zeros.writeAll([UInt8](repeating: 0, count: 300_000))
            #expect(throws: Errno.noSuchDevice) { try zeros.seekData(0) }
            #expect(try zeros.seekHole(100) == 100)
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            let size = 50 * Self.block
            try file.writeAll([UInt8](repeating: 1, count: size))
            try file.write([UInt8](repeating: 0, count: 4_096), at: 45 * Self.block)
            #expect(try file.seekHole(0) == size)
            #expect(try file.seekHole(44 * Self.block) == 45 * Self.block)
            #expect(try file.seekData(45 * Self.block) == 45 * Self.block + 4_096)
        }

        @Test func `a file without holes has one at its end`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll(Bytes.pattern(300_000, seed: 1))
            for _ in 0..<2 {
                #expect(try file.seekData(250_000) == 250_000)
                #expect(try file.seekHole(0) == 300_000)
                try file.sync()
            }
        }

        @Test func `from the end on there is neither`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            #expect(throws: Errno.noSuchDevice) { try file.seekData(0) }
            #expect(throws: Errno.noSuchDevice) { try file.seekHole(0) }
            try file.write([1, 2, 3])
            for offset in [3, 4, 1 << 40] {
                #expect(throws: Errno.noSuchDevice) { try file.seekData(offset) }
                #expect(throws: Errno.noSuchDevice) { try file.seekHole(offset) }
            }
            #expect(throws: Errno.noSuchDevice) { try file.seekData(-1) }
        }

        @Test func `far apart: a block behind four terabytes is found`() throws {
            let far = (1 << 42) / Self.block * Self.block
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write([1], at: 0)
            try file.write([1], at: far + 9)
            try file.sync()
            #expect(try file.seekHole(0) == 4_096)
            #expect(try file.seekData(Self.block) == far)
            #expect(try file.seekHole(far) == far + 10)
        }

        @Test func `SEEK_SET, SEEK_CUR and SEEK_END move, and refuse what is before the start`()
            throws
        {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.write(Array("0123456789".utf8))
            #expect(try file.seek(4) == 4)
            #expect(try file.seek(3, SEEK_CUR) == 7)
            #expect(try file.seek(-10, SEEK_END) == 0)
            #expect(try file.seek(1 << 40, SEEK_END) == 10 + 1 << 40)
            for (offset, whence) in [(-1, SEEK_SET), (-11, SEEK_END)] {
                #expect(throws: Errno.invalid) { try file.seek(offset, whence) }
            }
            #expect(throws: Errno.invalid) { try file.seek(0, 99) }
            try SystemCall.mkfifo(place["fifo"])
            let pipe = try Descriptor(place["fifo"], O_RDWR)
            #expect(throws: Errno(rawValue: ESPIPE)) { try pipe.seek(0) }
        }
    }
}
