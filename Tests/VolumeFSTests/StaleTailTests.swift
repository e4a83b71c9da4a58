import Codecs
import FileSystem
import Primitives
import TestSupport
import Testing
import VolumeFS

/// What lies behind the end of a file that was cut is cleared in the background; it must never show.
@Suite struct StaleTailTests {
    private static let blockBytes = 4_096

    /// How the file grows again over what was cut off.
    enum Growth: CaseIterable {
        case write
        case truncate
    }

    @Test(arguments: ["none", "lz4"], Growth.allCases)
    func `bytes that were loaded before the tail was cleared do not show when the file grows`(
        _ codec: String, _ growth: Growth
    ) throws {
        var options = VolumeOptions()
        options.cacheBytes = 16 * Self.blockBytes
        options.flushIntervalMilliseconds = 3_600_000
        let harness = try VolumeHarness(
            codec: try #require(Codec(name: codec)), blockSize: Self.blockBytes, options: options)
        defer { harness.unmount() }
        let (inode, cutHandle) = try harness.volume.create("cut")
        try harness.volume.write(
            [UInt8](repeating: 7, count: 12_288), to: inode, cutHandle, at: 0)
        try harness.volume.close(inode, cutHandle)
        let (other, fullHandle) = try harness.volume.create("other")
        try harness.volume.write(
            [UInt8](repeating: 8, count: 409_600), to: other, fullHandle, at: 0)
        try harness.volume.close(other, fullHandle)
        // Nothing is dirty or being flushed from here on.
        try harness.remount()
        let volume = harness.volume
        let handle = try volume.open(try volume.lookup("cut").inode)
        let otherHandle = try volume.open(try volume.lookup("other").inode)
        var found: [UInt8] = []
        try harness.keyValue.holding("apusfs-reaper") {
            // Nobody clears the tail meanwhile.
            try volume.truncate(inode, to: 5_000)
            // Takes the place of everything that is cached of the file, whose last block is then loaded
            // as the store has it.
            // Backwards: what is read ahead would have to wait, too.
            for offset in stride(from: 396 * 1_024 as UInt64, through: 0, by: -4_096) {
                _ = try volume.read(other, otherHandle, at: offset, count: 4_096)
            }
            #expect(
                try volume.read(inode, handle, at: 0, count: 12_288)
                    == [UInt8](repeating: 7, count: 5_000))
            switch growth {
            case .write: try volume.write([9], to: inode, handle, at: 12_287)
            case .truncate: try volume.truncate(inode, to: 12_288)
            }
            found = try volume.read(inode, handle, at: 0, count: 12_288)
        }
        var expected = [UInt8](repeating: 7, count: 5_000) + [UInt8](repeating: 0, count: 7_288)
        if growth == .write { expected[12_287] = 9 }
        #expect(found == expected)
        try volume.close(inode, handle)
        try volume.close(other, otherHandle)
    }
}
