import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    @Suite struct MmapTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a shared mapping reads what the file holds, to zeros past its end`() throws {
            let bytes = Bytes.pattern(300_001, seed: 1)
            try SystemCall.writeFile(place["file"], bytes)
            let file = try Descriptor(place["file"], O_RDONLY)
            let mapping = try Mapping(file, count: 303_104, protection: PROT_READ)
            #expect(Array(mapping.bytes[..<300_001]) == bytes)
            #expect(mapping.bytes[300_001...].allSatisfy { $0 == 0 })
        }

        @Test func `what is stored through a mapping is in the file after msync`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.truncate(400_000)
            let mapping = try Mapping(file, count: 400_000)
            var model = [UInt8](repeating: 0, count: 400_000)
            for (index, offset) in [0, 4_095, 126_975, 126_976, 200_000, 399_990].enumerated() {
                for at in offset..<offset + 10 {
                    mapping.bytes[at] = UInt8(index + 1)
                    model[at] = UInt8(index + 1)
                }
            }
            try mapping.sync()
            #expect(try file.read(500_000, at: 0) == model)
            #expect(try SystemCall.readFile(place["file"]) == model)
            #expect(try file.status().st_size == 400_000)
        }

        @Test
        func `what is stored through a mapping is there after the mapping and the file closed`()
            throws
        {
            let bytes = Bytes.pattern(262_144, seed: 8)
            do {
                let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
                try file.truncate(bytes.count)
                let mapping = try Mapping(file, count: bytes.count)
                try file.close()
                mapping.bytes.copyBytes(from: bytes)
            }
            #expect(try SystemCall.readFile(place["file"]) == bytes)
            #expect(try Descriptor(place["file"], O_RDONLY).read(300_000) == bytes)
        }

        @Test func `writes show in a mapping and a mapping in reads`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.truncate(8_192)
            let mapping = try Mapping(file, count: 8_192)
            try file.write([1, 2, 3], at: 4_094)
            #expect(Array(mapping.bytes[4_093..<4_098]) == [0, 1, 2, 3, 0])
            mapping.bytes[10] = 99
            #expect(try file.read(2, at: 10) == [99, 0])
        }

        @Test func `storing through a mapping moves mtime`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.truncate(4_096)
            try SystemCall.setTimes(place["file"], access: (5, 0), modification: (5, 0))
            let mapping = try Mapping(file, count: 4_096)
            mapping.bytes[0] = 1
            try mapping.sync()
            #expect(try SystemCall.stat(place["file"]).modificationTime.seconds > 5)
        }

        @Test func `a private mapping changes nothing`() throws {
            try SystemCall.writeFile(place["file"], "original")
            let file = try Descriptor(place["file"], O_RDWR)
            let address = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.raw, 0)
            guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
            defer { munmap(address, 4_096) }
            address.storeBytes(of: 0x58, as: UInt8.self)
            #expect(try SystemCall.readFile(place["file"]) == Array("original".utf8))
        }

        @Test func `a program on the mount runs`() throws {
            let source = try SystemCall.readFile("/bin/true")
            try SystemCall.writeFile(place["program"], source, mode: 0o755)
            let run = try ProgramRun.run([place["program"]])
            #expect(run.isSuccess)
        }

        @Test func `under a mapping a file is cut and grows again: what was cut off is zeros`()
            throws
        {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll([UInt8](repeating: 7, count: 3 * 4_096))
            let mapping = try Mapping(file, count: 3 * 4_096)
            #expect(mapping.bytes[2 * 4_096] == 7)
            try file.truncate(4_096 + 10)
            #expect(mapping.bytes[4_096 + 9] == 7)
            #expect(mapping.bytes[4_096 + 10] == 0)
            try file.truncate(3 * 4_096)
            #expect(mapping.bytes[2 * 4_096] == 0)
            mapping.bytes[5] = 8
            try mapping.sync()
            let wanted =
                [7, 7, 7, 7, 7, 8] + [UInt8](repeating: 7, count: 4_096 + 4)
                + [UInt8](repeating: 0, count: 2 * 4_096 - 10)
            #expect(try file.read(4 * 4_096, at: 0) == wanted)
        }

        @Test func `a mapping needs the right to what it is for, and an offset of whole pages`()
            throws
        {
            try SystemCall.writeFile(place["file"], [UInt8](repeating: 1, count: 8_192))
            let reading = try Descriptor(place["file"], O_RDONLY)
            #expect(throws: Errno.accessDenied) { try Mapping(reading, count: 4_096) }
            let both = try Descriptor(place["file"], O_RDWR)
            #expect(throws: Errno.invalid) { try Mapping(both, count: 4_096, offset: 100) }
            #expect(throws: Errno.invalid) { try Mapping(both, count: 0) }
            let directory = try Descriptor(place.path, O_RDONLY)
            #expect(throws: Errno.noSuchDevice) {
                do throws(Errno) {
                    _ = try Mapping(directory, count: 4_096, protection: PROT_READ)
                } catch {
                    // ENODEV, which says the same of a directory.
                    throw error.rawValue == ENODEV ? Errno.noSuchDevice : error
                }
            }
        }
    }
}
