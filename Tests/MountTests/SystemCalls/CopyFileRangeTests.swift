import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct CopyFileRangeTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        private func files(_ count: Int) throws -> (Descriptor, Descriptor, [UInt8]) {
            let bytes = Bytes.pattern(count, seed: 7)
            try SystemCall.writeFile(place["source"], bytes)
            return (
                try Descriptor(place["source"], O_RDONLY),
                try Descriptor(place["target"], O_RDWR | O_CREAT), bytes
            )
        }

        private func copyAll(
            _ source: Descriptor, _ target: Descriptor, at offset: Int, to place: Int, count: Int
        ) throws -> Int {
            var done = 0
            while done < count {
                let copied = try target.copy(
                    from: source, at: offset + done, to: place + done, count: count - done)
                if copied == 0 { break }
                done += copied
            }
            return done
        }

        @Test(
            arguments: [
                (0, 0), (0, 126_976), (126_976, 0), (100, 100), (5, 126_981), (0, 1), (4_096, 17),
            ])
        func `the bytes arrive, whatever the alignment`(from: Int, to: Int) throws {
            let (source, target, bytes) = try files(700_003)
            try target.writeAll([UInt8](repeating: 9, count: 10))
            let count = bytes.count - from
            #expect(try copyAll(source, target, at: from, to: to, count: 10 << 20) == count)
            let wanted =
                [UInt8](repeating: 9, count: min(to, 10))
                + [UInt8](repeating: 0, count: max(0, to - 10)) + bytes[from...]
            #expect(try target.status().st_size == max(10, wanted.count))
            #expect(try target.read(2 << 20, at: 0) == wanted)
            try target.sync()
            #expect(try SystemCall.readFile(place["target"]) == wanted)
        }

        @Test func `a copy in the middle leaves the rest, also what is not stored yet`() throws {
            let (source, target, bytes) = try files(4 * 126_976)
            var model = Bytes.pattern(5 * 126_976, seed: 8)
            try target.writeAll(model)
            let count = 2 * 126_976 + 500
            #expect(
                try copyAll(source, target, at: 126_976, to: 2 * 126_976, count: count) == count)
            model.replaceSubrange(
                2 * 126_976..<2 * 126_976 + count, with: bytes[126_976..<126_976 + count])
            #expect(try target.read(1 << 20, at: 0) == model)
        }

        @Test func `holes stay holes`() throws {
            let source = try Descriptor(place["source"], O_RDWR | O_CREAT)
            try source.write([1], at: 20 * 126_976)
            let target = try Descriptor(place["target"], O_RDWR | O_CREAT)
            #expect(
                try copyAll(source, target, at: 0, to: 0, count: 1 << 30) == 20 * 126_976 + 1)
            try target.sync()
            #expect(try target.seekData(0) == 20 * 126_976)
            #expect(try target.status().st_blocks == source.status().st_blocks)
        }

        @Test func `what a mapping has written to the source is copied`() throws {
            let (_, target, bytes) = try files(126_976)
            let source = try Descriptor(place["source"], O_RDWR)
            let mapping = try Mapping(source, count: bytes.count)
            mapping.bytes[1_000] = bytes[1_000] &+ 1
            _ = try copyAll(source, target, at: 0, to: 0, count: bytes.count)
            #expect(try target.read(1, at: 1_000) == [bytes[1_000] &+ 1])
        }

        @Test func `nothing is copied from the end on, and bad ends are refused`() throws {
            let (source, target, bytes) = try files(1_000)
            #expect(try target.copy(from: source, at: bytes.count, to: 0, count: 5) == 0)
            #expect(try target.copy(from: source, at: 0, to: 0, count: 0) == 0)
            #expect(throws: Errno.badFileDescriptor) {
                _ = try source.copy(from: target, at: 0, to: 0, count: 5)
            }
            let appending = try Descriptor(place["target"], O_WRONLY | O_APPEND)
            #expect(throws: Errno.badFileDescriptor) {
                _ = try appending.copy(from: source, at: 0, to: 0, count: 5)
            }
            let both = try Descriptor(place["source"], O_RDWR)
            #expect(throws: Errno.invalid) {
                _ = try both.copy(from: both, at: 0, to: 500, count: 600)
            }
            #expect(throws: Errno.fileTooLarge) {
                _ = try target.copy(from: source, at: 0, to: Int.max, count: 5)
            }
            let directory = try Descriptor(place.path, O_RDONLY)
            #expect(throws: Errno.isDirectory) {
                _ = try target.copy(from: directory, at: 0, to: 0, count: 5)
            }
        }

        @Test func `the target's times move, and setuid goes unless root copies`() throws {
            let (source, target, _) = try files(200_000)
            try SystemCall.setTimes(place["target"], access: (5, 0), modification: (5, 0))
            let before = try target.status().changeTime
            _ = try target.copy(from: source, at: 0, to: 0, count: 200_000)
            #expect(try target.status().modificationTime.seconds > 5)
            #expect(try target.status().changeTime > before)
            try SystemCall.chmod(place["target"], 0o6777)
            try Person.alice.run {
                let reading = try Descriptor(place["source"], O_RDONLY)
                let writing = try Descriptor(place["target"], O_WRONLY)
                _ = try writing.copy(from: reading, at: 0, to: 0, count: 200_000)
            }
            #expect(try SystemCall.stat(place["target"]).permissions == 0o777)
        }
    }
}
