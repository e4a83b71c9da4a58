import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct FallocateTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        private func file(_ count: Int) throws -> (Descriptor, [UInt8]) {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            let bytes = Bytes.pattern(count, seed: 5)
            try file.writeAll(bytes)
            return (file, bytes)
        }

        @Test func `plain preallocation grows the file with zeros and never shrinks it`() throws {
            let (file, bytes) = try file(5_000)
            try file.allocate([], at: 4_000, count: 300_000)
            #expect(try file.status().st_size == 304_000)
            #expect(
                try file.read(400_000, at: 0) == bytes + [UInt8](repeating: 0, count: 299_000))
            try file.allocate([], at: 0, count: 10)
            #expect(try file.status().st_size == 304_000)
        }

        @Test func `with KEEP_SIZE the size stays`() throws {
            let (file, bytes) = try file(5_000)
            try file.allocate(.keepSize, at: 4_000, count: 300_000)
            #expect(try file.status().st_size == 5_000)
            #expect(try file.read(400_000, at: 0) == bytes)
        }

        @Test(arguments: [0, 1, 4_095, 4_096, 126_975, 126_976, 126_977, 253_952, 699_999])
        func `a punched hole reads as zeros, and nothing beside it changes`(offset: Int) throws {
            let (file, bytes) = try file(700_000)
            for count in [1, 4_096, 126_976, 300_001] {
                var model = bytes
                try file.write(bytes, at: 0)
                try file.allocate([.punchHole, .keepSize], at: offset, count: count)
                let end = min(offset + count, bytes.count)
                model.replaceSubrange(offset..<end, with: repeatElement(0, count: end - offset))
                #expect(try file.read(800_000, at: 0) == model)
                #expect(try file.status().st_size == 700_000)
            }
        }

        @Test func `a punched hole gives its space back`() throws {
            let (file, _) = try file(10 * 126_976)
            try file.sync()
            let full = try file.status().st_blocks
            #expect(full == 10 * 126_976 / 512)
            try file.allocate([.punchHole, .keepSize], at: 126_976, count: 5 * 126_976)
            #expect(try file.status().st_blocks == full / 2)
            try file.allocate([.punchHole, .keepSize], at: 0, count: 1 << 40)
            #expect(try file.status().st_blocks == 0)
            #expect(try file.status().st_size == 10 * 126_976)
        }

        @Test func `preallocated space is in st_blocks before it is written, and after`() throws {
            let (file, _) = try file(0)
            for mode: AllocationMode in [.keepSize, []] {
                try file.allocate(mode, at: 4_095, count: 300_000)
                let allocated = try file.status().st_blocks
                #expect(allocated * 512 >= 300_000)
                #expect(allocated * 512 <= 4_095 + 300_000 + 4_096)
                try file.write(Bytes.pattern(300_000, seed: 6), at: 4_095)
                #expect(try file.status().st_blocks == allocated)
                try file.sync()
                #expect(try file.status().st_blocks == allocated)
                try file.truncate(0)
                #expect(try file.status().st_blocks == 0)
            }
        }

        @Test func `ZERO_RANGE clears, and without KEEP_SIZE also grows`() throws {
            let (file, bytes) = try file(10_000)
            try file.allocate([.zeroRange, .keepSize], at: 9_000, count: 5_000)
            #expect(
                try file.read(20_000, at: 0)
                    == bytes[..<9_000] + [UInt8](repeating: 0, count: 1_000))
            try file.allocate(.zeroRange, at: 8_000, count: 192_000)
            #expect(try file.status().st_size == 200_000)
            #expect(
                try file.read(300_000, at: 0)
                    == bytes[..<8_000] + [UInt8](repeating: 0, count: 192_000))
        }

        @Test func `a mapping sees a hole that is punched under it`() throws {
            let (file, _) = try file(126_976 * 2)
            let mapping = try Mapping(file, count: 126_976 * 2)
            mapping.bytes[10] = 1
            try file.allocate([.punchHole, .keepSize], at: 0, count: 126_976)
            #expect(mapping.bytes[..<126_976].allSatisfy { $0 == 0 })
            mapping.bytes[20] = 2
            try mapping.sync()
            #expect(try file.read(30, at: 0).enumerated().allSatisfy { $1 == ($0 == 20 ? 2 : 0) })
        }

        @Test func `mtime and ctime follow what changes`() throws {
            let (file, _) = try file(10_000)
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            let before = try file.status()
            try file.allocate([.punchHole, .keepSize], at: 0, count: 100)
            let punched = try file.status()
            #expect(punched.modificationTime > before.modificationTime)
            #expect(punched.changeTime > before.changeTime)
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            try file.allocate([], at: 0, count: 20_000)
            #expect(try file.status().modificationTime.seconds > 5)
        }

        @Test func `setuid and setgid go when another than root changes the content`() throws {
            for mode: AllocationMode in [[.punchHole, .keepSize], .zeroRange, []] {
                try SystemCall.writeFile(place["program"], [UInt8](repeating: 1, count: 5_000))
                try SystemCall.chmod(place["program"], 0o6777)
                try Person.alice.run {
                    let file = try Descriptor(place["program"], O_RDWR)
                    try file.allocate(mode, at: 0, count: 10_000)
                }
                #expect(try SystemCall.stat(place["program"]).permissions == 0o777)
            }
        }

        @Test func `what cannot be allocated says why`() throws {
            let (file, _) = try file(10)
            #expect(throws: Errno.invalid) { try file.allocate([], at: 0, count: 0) }
            #expect(throws: Errno.invalid) { try file.allocate([], at: -1, count: 10) }
            #expect(throws: Errno.invalid) { try file.allocate([], at: 0, count: -1) }
            #expect(throws: Errno.fileTooLarge) {
                try file.allocate([], at: Int.max - 1, count: 10)
            }
            #expect(throws: Errno.notSupported) {
                try file.allocate(.punchHole, at: 0, count: 10)
            }
            for other: Int32 in [8, 32, 64] {
                #expect(throws: Errno.notSupported) {
                    try file.allocate(AllocationMode(rawValue: other), at: 0, count: 4_096)
                }
            }
            let reading = try Descriptor(place["file"], O_RDONLY)
            #expect(throws: Errno.badFileDescriptor) {
                try reading.allocate([], at: 0, count: 10)
            }
            try SystemCall.mkfifo(place["fifo"])
            let pipe = try Descriptor(place["fifo"], O_RDWR)
            #expect(throws: Errno(rawValue: ESPIPE)) {
                try pipe.allocate([], at: 0, count: 10)
            }
        }
    }
}
