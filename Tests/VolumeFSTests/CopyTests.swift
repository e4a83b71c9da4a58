import FileSystem
import Primitives
import Telemetry
import TestSupport
import Testing
import VolumeFS

/// copy_file_range(2) on a volume.
@Suite struct CopyTests {
    private static let blockBytes = 4_096

    private func harness(_ kind: StoreKind) throws -> VolumeHarness {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        options.accessTimes = .noatime
        return try VolumeHarness(store: kind, blockSize: Self.blockBytes, options: options)
    }

    @Test(arguments: StoreKind.allCases)
    func `whole blocks are copied inside the store, holes included`(_ kind: StoreKind) throws {
        let harness = try harness(kind)
        defer { harness.unmount() }
        let volume = harness.volume
        var random = SeededRandom(seed: 1)
        let (source, from) = try volume.create("source")
        let content = random.content(count: 300 * Self.blockBytes + 77)
        try volume.write(content, to: source, from, at: 0)
        try volume.allocate(source, from, mode: 3, at: 8_192, count: 8_192)
        try volume.fsync(source, from)
        let (target, to) = try volume.create("target")
        // What stands where the source has a hole goes.
        try volume.write([UInt8](repeating: 9, count: 20_000), to: target, to, at: 0)
        try volume.fsync(target, to)

        let written = harness.metrics.value(of: .writtenBytes)
        var copied = 0
        let trips = try harness.trips {
            copied = try volume.copy((source, from, 0), (target, to, 0), count: 1 << 40)
        }
        #expect(copied == content.count)
        #expect(trips <= 5, "\(harness.lastCalls)")
        #expect(harness.metrics.value(of: .writtenBytes) == written)
        #expect(try volume.attributes(target).size == UInt64(content.count))
        #expect(try volume.attributes(target).storedSectors == 299 * 8)
        var wanted = content
        wanted.replaceSubrange(8_192..<16_384, with: repeatElement(0, count: 8_192))
        #expect(try volume.read(target, to, at: 0, count: 2 << 20) == wanted)
        #expect(try volume.seek(.hole, target, to, from: 0) == 8_192)
        // The copy is one of its own.
        try volume.write([1, 2, 3], to: source, from, at: 0)
        try volume.fsync(source, from)
        try volume.close(target, to)
        try harness.remount()
        let handle = try harness.volume.open(target)
        #expect(try harness.volume.read(target, handle, at: 0, count: 2 << 20) == wanted)
    }

    @Test(arguments: [(0, 1), (5, 4_101), (4_096, 100), (100, 100)])
    func `any alignment copies the same bytes`(_ from: UInt64, _ to: UInt64) throws {
        let harness = try harness(.memory)
        defer { harness.unmount() }
        let volume = harness.volume
        var random = SeededRandom(seed: 2)
        let content = random.content(count: 50_000)
        let (source, sourceHandle) = try volume.create("source")
        try volume.write(content, to: source, sourceHandle, at: 0)
        let (target, targetHandle) = try volume.create("target")
        let copied = try volume.copy(
            (source, sourceHandle, from), (target, targetHandle, to), count: 30_001)
        #expect(copied == 30_001)
        #expect(
            try volume.read(target, targetHandle, at: to, count: 40_000)
                == Array(content[Int(from)..<Int(from) + 30_001]))
        #expect(try volume.attributes(target).size == to + 30_001)
    }

    @Test func `from the end on there is nothing to copy, and no file grows beyond its limit`()
        throws
    {
        let harness = try harness(.memory)
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("f")
        try harness.volume.write([1, 2, 3], to: inode, handle, at: 0)
        #expect(try harness.volume.copy((inode, handle, 3), (inode, handle, 100), count: 5) == 0)
        #expect(throws: Errno.fileTooLarge) {
            try harness.volume.copy(
                (inode, handle, 0), (inode, handle, FileOffset.maximum.bytes - 2), count: 3)
        }
    }

    @Test func `a copy within one file`() throws {
        let harness = try harness(.memory)
        defer { harness.unmount() }
        var random = SeededRandom(seed: 3)
        let content = random.content(count: 8 * Self.blockBytes)
        let (inode, handle) = try harness.volume.create("f")
        try harness.volume.write(content, to: inode, handle, at: 0)
        let size = UInt64(content.count)
        #expect(
            try harness.volume.copy((inode, handle, 0), (inode, handle, size), count: size)
                == content.count)
        #expect(
            try harness.volume.read(inode, handle, at: 0, count: 1 << 20) == content + content)
    }
}
