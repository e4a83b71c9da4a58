import Codecs
import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing
import VolumeFS

@Suite struct OpenFileTests {
    @Test(arguments: StoreKind.allCases)
    func `a file that was unlinked while open stays usable until its last close`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        try volume.write([1, 2, 3], to: inode, handle, at: 0)
        try volume.fsync(inode, handle)
        try volume.unlink("file")
        #expect(try volume.attributes(inode).linkCount == 0)
        try volume.write([9], to: inode, handle, at: 1)
        try volume.fsync(inode, handle)
        try volume.truncate(inode, to: 5)
        #expect(try volume.read(inode, handle, at: 0, count: 10) == [1, 9, 3, 0, 0])
        try volume.close(inode, handle)
        #expect(throws: Errno.noEntry) { try volume.lookup("file") }
        volume.forget(inode, count: 1)
        #expect(throws: Errno.stale) { try volume.attributes(inode) }
    }

    @Test func `a file that was renamed over while open stays usable until its last close`() throws
    {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (old, oldHandle) = try volume.create("old")
        try volume.write([1], to: old, oldHandle, at: 0)
        let (new, newHandle) = try volume.create("new")
        try volume.close(new, newHandle)
        try volume.rename("new", to: "old")
        #expect(try volume.lookup("old").inode == new)
        #expect(try volume.read(old, oldHandle, at: 0, count: 10) == [1])
        try volume.close(old, oldHandle)
    }

    @Test func `truncating at open empties a file whatever is still dirty`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        try volume.write([UInt8](repeating: 1, count: 500_000), to: inode, handle, at: 0)
        let second = try volume.open(inode, [.read, .write, .truncate])
        #expect(try volume.attributes(inode).size == 0)
        try volume.write([5], to: inode, second, at: 3)
        #expect(try volume.read(inode, handle, at: 0, count: 10) == [0, 0, 0, 5])
        try volume.close(inode, second)
        try volume.close(inode, handle)
        try harness.remount()
        let again = try harness.volume.open(try harness.volume.lookup("file").inode, .read)
        #expect(try harness.volume.read(inode, again, at: 0, count: 10) == [0, 0, 0, 5])
    }

    @Test(arguments: StoreKind.allCases)
    func `an emptied volume holds the keys of an empty volume and nothing else`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind, codec: .lz4, blockSize: 4_096)
        let volume = harness.volume
        let directory = try volume.mkdir("d")
        var random = SeededRandom(seed: 3)
        for index in 0..<20 {
            let (inode, handle) = try volume.create("f\(index)", in: directory)
            try volume.write(random.content(count: 50_000), to: inode, handle, at: 10_000)
            try volume.close(inode, handle)
            try volume.truncate(inode, to: UInt64(index * 3_000))
        }
        let (open, handle) = try volume.create("open")
        try volume.write([1], to: open, handle, at: 1 << 40)
        try volume.fsync(open, handle)
        try volume.unlink("open")
        try volume.close(open, handle)
        for name in try volume.list(directory) { try volume.unlink(name, in: directory) }
        try volume.rmdir("d")
        harness.unmount()
        let keys = try harness.storeHarness.allKeys()
        #expect(keys == ["{test}", "{test}i1"])
    }

    @Test func `a hole takes no store space and reads as zeros`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("sparse")
        let far: UInt64 = 1 << 42
        try volume.write([7], to: inode, handle, at: far)
        try volume.fsync(inode, handle)
        #expect(try volume.attributes(inode).size == far + 1)
        #expect(try volume.attributes(inode).storedSectors <= 248)
        #expect(try volume.read(inode, handle, at: far - 3, count: 10) == [0, 0, 0, 7])
        #expect(try volume.read(inode, handle, at: 1 << 30, count: 4) == [0, 0, 0, 0])
        let blocks = try harness.storeHarness.allKeys().filter { $0.hasPrefix("test/b") }
        #expect(blocks.count == 1)
        try volume.close(inode, handle)
    }

    @Test func `a second mount sees what the first has closed`() throws {
        let harness = try VolumeHarness(store: .redis)
        defer { harness.unmount() }
        let second = try harness.secondMount()
        defer { second.unmounted() }
        for round in 0..<50 {
            let name = "file\(round % 3)"
            let bytes = [UInt8](repeating: UInt8(round), count: 1_000 * (round + 1))
            let inode: InodeID
            let handle: HandleID
            if round < 3 {
                (inode, handle) = try harness.volume.create(name)
            } else {
                inode = try harness.volume.lookup(name).inode
                handle = try harness.volume.open(inode, [.read, .write, .truncate])
            }
            try harness.volume.write(bytes, to: inode, handle, at: 0)
            try harness.volume.close(inode, handle)
            let other = try second.open(inode, .read)
            #expect(try second.read(inode, other, at: 0, count: 1 << 20) == bytes)
            try second.close(inode, other)
        }
    }
}
