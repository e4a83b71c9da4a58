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

    /// The files `cut`, whose last block the cache does not hold, and `other`, which fills the cache.
    private struct Files {
        let harness: VolumeHarness
        let inode: InodeID
        let handle: HandleID
        private let other: InodeID
        private let otherHandle: HandleID

        init(codec: String) throws {
            var options = VolumeOptions()
            options.cacheBytes = 16 * blockBytes
            options.flushIntervalMilliseconds = 3_600_000
            harness = try VolumeHarness(
                codec: try #require(Codec(name: codec)), blockSize: blockBytes, options: options)
            for (name, byte, count) in [("cut", 7 as UInt8, 12_288), ("other", 8, 409_600)] {
                let (inode, handle) = try harness.volume.create(name)
                try harness.volume.write(
                    [UInt8](repeating: byte, count: count), to: inode, handle, at: 0)
                try harness.volume.close(inode, handle)
            }
            // Nothing is dirty or being flushed from here on.
            try harness.remount()
            inode = try harness.volume.lookup("cut").inode
            handle = try harness.volume.open(inode)
            other = try harness.volume.lookup("other").inode
            otherHandle = try harness.volume.open(other)
        }

        /// Cuts the file, and loads its last block as the store has it before that is cleared. The reaper
        /// does not run.
        func cutAndLoad(to size: Int) throws {
            let volume = harness.volume
            try volume.truncate(inode, to: UInt64(size))
            // Takes the place of everything that is cached of the file. Backwards: what is read ahead would
            // have to wait, too.
            for offset in stride(from: 396 * 1_024 as UInt64, through: 0, by: -4_096) {
                _ = try volume.read(other, otherHandle, at: offset, count: 4_096)
            }
            #expect(
                try volume.read(inode, handle, at: 0, count: 12_288)
                    == [UInt8](repeating: 7, count: size))
        }

        func end() throws {
            try harness.volume.close(inode, handle)
            try harness.volume.close(other, otherHandle)
        }
    }

    @Test(arguments: ["none", "lz4"], Growth.allCases)
    func `bytes that were loaded before the tail was cleared do not show when the file grows`(
        _ codec: String, _ growth: Growth
    ) throws {
        let files = try Files(codec: codec)
        defer { files.harness.unmount() }
        let volume = files.harness.volume
        var found: [UInt8] = []
        try files.harness.keyValue.holding("apusfs-reaper") {
            try files.cutAndLoad(to: 5_000)
            switch growth {
            case .write: try volume.write([9], to: files.inode, files.handle, at: 12_287)
            case .truncate: try volume.truncate(files.inode, to: 12_288)
            }
            found = try volume.read(files.inode, files.handle, at: 0, count: 12_288)
        }
        var expected = [UInt8](repeating: 7, count: 5_000) + [UInt8](repeating: 0, count: 7_288)
        if growth == .write { expected[12_287] = 9 }
        #expect(found == expected)
        try files.end()
    }

    @Test(arguments: ["none", "lz4"])
    func
        `bytes that were loaded before the tail was cleared do not show when another mount extends`(
            _ codec: String
        ) throws
    {
        let files = try Files(codec: codec)
        let harness = files.harness
        defer { harness.unmount() }
        let other = try harness.secondMount()
        defer { other.unmounted() }
        try harness.keyValue.holding("apusfs-reaper") { try files.cutAndLoad(to: 5_000) }
        try harness.awaitClearTail(files.inode)
        try other.truncate(files.inode, to: 12_288)
        let isHeard = Polling.wait {
            (try? harness.volume.attributes(files.inode).size) == 12_288
        }
        #expect(isHeard)
        let found = try harness.volume.read(files.inode, files.handle, at: 0, count: 12_288)
        let expected =
            [UInt8](repeating: 7, count: 5_000) + [UInt8](repeating: 0, count: 7_288)
        #expect(found == expected)
        try files.end()
    }

    @Test(arguments: ["none", "lz4"])
    func `bytes that were loaded before the tail was cleared are not stored again`(
        _ codec: String
    ) throws {
        let files = try Files(codec: codec)
        let harness = files.harness
        defer { harness.unmount() }
        let changed = [UInt8](repeating: 9, count: 2_900)
        let flush = "late-flush"
        var flusher: TestThread?
        try harness.keyValue.holding(flush) {
            try harness.keyValue.holding("apusfs-reaper") {
                try files.cutAndLoad(to: 7_096)
                // So much that the block is stored whole, and nothing behind the end.
                try harness.volume.write(changed, to: files.inode, files.handle, at: 4_100)
                let (volume, inode, handle) = (harness.volume, files.inode, files.handle)
                flusher = TestThread(name: flush) {
                    #expect(throws: Never.self) { try volume.fsync(inode, handle) }
                }
                // The block is taken as it is.
                harness.keyValue.awaitHeld(flush)
            }
            try harness.awaitClearTail(files.inode)
        }
        flusher?.join()
        try harness.volume.truncate(files.inode, to: 12_288)
        try files.end()
        // What is read then comes from the store.
        try harness.remount()
        let handle = try harness.volume.open(try harness.volume.lookup("cut").inode)
        let found = try harness.volume.read(files.inode, handle, at: 0, count: 12_288)
        try harness.volume.close(files.inode, handle)
        let zeros = [UInt8](repeating: 0, count: 12_288 - 7_096)
        let expected =
            [UInt8](repeating: 7, count: 4_100) + changed
            + [UInt8](repeating: 7, count: 96) + zeros
        #expect(found == expected)
    }
}
