import FileSystem
import Foundation
import Primitives
import TestSupport
import Testing

@testable import VolumeFS

@Suite struct SpaceTests {
    @Test func `modes that are not there are EOPNOTSUPP, ranges that cannot be are refused`() {
        for mode: Int32 in [2, 4, 8, 16 | 2, 32, 64, 16 | 2 | 1, 128, -1] {
            #expect(throws: Errno.notSupported) {
                try SpaceRequest(mode: mode, offset: .zero, length: 1)
            }
        }
        #expect(throws: Errno.invalid) { try SpaceRequest(mode: 0, offset: .zero, length: 0) }
        let last = FileOffset(FileOffset.maximum.bytes - 1)
        #expect(throws: Errno.fileTooLarge) {
            try SpaceRequest(mode: 0, offset: last, length: 2)
        }
        #expect((try? SpaceRequest(mode: 0, offset: last, length: 1)) != nil)
    }

    /// Every range of a file of some blocks of 8 bytes, against what is left of its bytes.
    @Test(arguments: [false, true])
    func `a clearing plan covers its range, and nothing else of the file`(coversEnd: Bool) throws {
        let blockSize = try #require(BlockSize(bytes: 4_096))
        let places: [UInt64] = [0, 1, 4_095, 4_096, 4_097, 8_191, 8_192, 9_000, 12_288, 14_000]
        for size in places {
            for start in places {
                for end in places where start < end {
                    let plan = ClearingPlan(
                        start..<end, fileSize: size, coversEnd: coversEnd, blockSize: blockSize)
                    var cleared = plan.edges.map { edge in
                        edge.index.rawValue * 4_096 + UInt64(edge.range.lowerBound)..<edge.index
                            .rawValue * 4_096 + UInt64(edge.range.upperBound)
                    }
                    if !plan.blocks.isEmpty {
                        let whole = plan.blocks.lowerBound * 4_096..<plan.blocks.upperBound * 4_096
                        cleared.append(
                            coversEnd ? whole.lowerBound..<min(whole.upperBound, size) : whole)
                    }
                    cleared.sort { $0.lowerBound < $1.lowerBound }
                    let wanted = start..<max(start, min(end, size))
                    #expect(cleared.reduce(0) { $0 + $1.count } == wanted.count)
                    #expect(
                        zip(cleared, cleared.dropFirst()).allSatisfy {
                            $0.upperBound == $1.lowerBound
                        })
                    #expect(cleared.first.map { $0.lowerBound == start } ?? wanted.isEmpty)
                    #expect(plan.edges.count <= 2)
                }
            }
        }
    }

    @Test func `a copy plan takes whole blocks where both ends are aligned alike`() throws {
        let size = try #require(BlockSize(bytes: 4_096))
        func plan(_ from: UInt64, _ to: UInt64, _ count: UInt64, last: Bool = false) -> CopyPlan {
            CopyPlan(from: from, to: to, count: count, takesLastBlock: last, blockSize: size)
        }
        let even = plan(0, 8_192, 10_000)
        #expect(even.head == 0)
        #expect(even.blocks == 0..<2)
        #expect(even.firstTarget == 2)
        #expect(even.tail == 10_000 - 8_192)
        let odd = plan(100, 4_196, 10_000)
        #expect(odd.head == 3_996)
        #expect(odd.blocks == 1..<2)
        #expect(odd.firstTarget == 2)
        #expect(odd.tail == 10_000 - 3_996 - 4_096)
        let whole = plan(0, 0, 10_000, last: true)
        #expect(whole.blocks == 0..<3)
        #expect(whole.tail == 0)
        #expect(whole.blockBytes(of: 10_000, blockSize: size) == 10_000)
        let crooked = plan(0, 1, 100 << 20)
        #expect(crooked.blocks.isEmpty)
        #expect(crooked.head == CopyPlan.mostCopiedBytes)
        let long = plan(0, 0, 1 << 40)
        #expect(UInt64(long.blocks.count) == CopyPlan.mostBlocks)
        #expect(long.tail == 0)
        #expect(plan(10, 10, 20).head == 20)
    }

    @Test(arguments: StoreKind.allCases)
    func `a punched hole takes no store space, reads as zeros and is found by lseek`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind, blockSize: 4_096)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("f")
        try volume.write([UInt8](repeating: 7, count: 5 * 4_096 + 100), to: inode, handle, at: 0)
        #expect(try volume.attributes(inode).storedSectors == 6 * 8)
        try volume.fsync(inode, handle)
        #expect(try volume.attributes(inode).storedSectors == 6 * 8)
        try volume.allocate(inode, handle, mode: 3, at: 4_000, count: 3 * 4_096)
        try volume.fsync(inode, handle)
        #expect(try volume.attributes(inode).storedSectors == 4 * 8)
        #expect(try harness.storeHarness.allKeys().count { $0.contains("/b{") } == 4)
        #expect(try volume.seek(.hole, inode, handle, from: 0) == 4_096)
        #expect(try volume.seek(.data, inode, handle, from: 4_096) == 3 * 4_096)
        #expect(try volume.seek(.hole, inode, handle, from: 3 * 4_096) == 5 * 4_096 + 100)
        #expect(try volume.seek(.data, inode, handle, from: 5 * 4_096 + 100) == nil)
        let bytes = try volume.read(inode, handle, at: 0, count: 1 << 20)
        #expect(bytes.enumerated().allSatisfy { ($1 == 0) == (4_000..<16_288).contains($0) })
        try volume.allocate(inode, handle, mode: 3, at: 0, count: 1 << 40)
        #expect(try volume.attributes(inode).storedSectors == 0)
        #expect(try volume.attributes(inode).size == 5 * 4_096 + 100)
        #expect(try harness.storeHarness.allKeys().count { $0.contains("/b{") } == 0)
    }

    @Test func `what is dirty is data for lseek and counts for st_blocks before it is stored`()
        throws
    {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        let harness = try VolumeHarness(blockSize: 4_096, options: options)
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("f")
        try harness.volume.write([1], to: inode, handle, at: 10 * 4_096)
        #expect(try harness.volume.seek(.data, inode, handle, from: 0) == 10 * 4_096)
        #expect(try harness.volume.seek(.hole, inode, handle, from: 10 * 4_096) == 10 * 4_096 + 1)
        #expect(try harness.volume.attributes(inode).storedSectors == 8)
        #expect(try harness.storeHarness.allKeys().count { $0.contains("/b{") } == 0)
    }

    @Test func `preallocated blocks are a set of indexes`() {
        var random = SeededRandom(seed: 568)
        for _ in 0..<200 {
            var preallocation = Preallocation()
            var model: Set<UInt64> = []
            for _ in 0..<30 {
                let start = UInt64.random(in: 0..<40, using: &random)
                let blocks = start..<start + UInt64.random(in: 0..<12, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0...1:
                    preallocation.insert(blocks, end: 0)
                    model.formUnion(blocks)
                case 2...3:
                    preallocation.remove(blocks)
                    model.subtract(blocks)
                default:
                    let end = UInt64.random(in: 20..<60, using: &random)
                    preallocation.cut(to: end * 4_096, blockCount: end)
                    model = model.filter { $0 < end }
                }
                #expect(preallocation.ranges.flatMap { Array($0) } == model.sorted())
                #expect(preallocation.count == UInt64(model.count))
                #expect(
                    zip(preallocation.ranges, preallocation.ranges.dropFirst()).allSatisfy {
                        $0.upperBound < $1.lowerBound
                    })
            }
        }
        var many = Preallocation()
        for index in 0...UInt64(Preallocation.mostRanges) {
            many.insert(index * 2..<index * 2 + 1, end: 0)
        }
        #expect(many == Preallocation())
    }

    @Test(arguments: StoreKind.allCases)
    func `st_blocks counts what was preallocated, written or not, and nothing is stored for it`(
        _ kind: StoreKind
    ) throws {
        let harness = try VolumeHarness(store: kind, blockSize: 4_096)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("f")
        func blocks() throws -> UInt64 { try volume.attributes(inode).storedSectors / 8 }
        func stored() throws -> Int {
            try harness.storeHarness.allKeys().count { $0.contains("/b{") }
        }
        // Behind the end, too; a second time changes nothing.
        for _ in 0..<2 {
            try volume.allocate(inode, handle, mode: 1, at: 4_095, count: 8 * 4_096 + 2)
            #expect(try blocks() == 10)
        }
        #expect(try volume.attributes(inode).size == 0)
        #expect(try stored() == 0)
        // Written, it is counted as before: dirty, and stored.
        try volume.write([UInt8](repeating: 1, count: 4_096), to: inode, handle, at: 4_096)
        #expect(try blocks() == 10)
        try volume.fsync(inode, handle)
        #expect(try blocks() == 10)
        #expect(try stored() == 1)
        // What is there already is not counted again.
        try volume.allocate(inode, handle, mode: 0, at: 0, count: 12 * 4_096)
        #expect(try blocks() == 12)
        // Holes give space back; clearing keeps it.
        try volume.allocate(inode, handle, mode: 3, at: 4_096, count: 3 * 4_096)
        #expect(try blocks() == 9)
        try volume.allocate(inode, handle, mode: 16, at: 0, count: 2 * 4_096)
        #expect(try blocks() == 10)
        #expect(try stored() == 0)
        try volume.truncate(inode, to: 3 * 4_096)
        #expect(try blocks() == 2)
        try volume.truncate(inode, to: 0)
        #expect(try blocks() == 0)
        // Another mount's blocks are not counted twice, as soon as it has been heard of.
        try volume.allocate(inode, handle, mode: 0, at: 0, count: 4 * 4_096)
        let second = try harness.secondMount()
        defer { second.unmounted() }
        let there = try second.open(inode)
        try second.write([UInt8](repeating: 1, count: 2 * 4_096), to: inode, there, at: 0)
        try second.fsync(inode, there)
        let deadline = ContinuousClock.now + .seconds(20)
        while try blocks() != 4, ContinuousClock.now < deadline { usleep(10_000) }
        #expect(try blocks() == 4)
        // Nothing is stored for it, so that a new mount counts what is stored.
        try harness.remount()
        #expect(try harness.volume.attributes(inode).storedSectors == 2 * 8)
    }

    @Test func `preallocation sets the size, stores nothing, and is refused when there is no room`()
        throws
    {
        let harness = try VolumeHarness(store: .redis)
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("f")
        try harness.volume.allocate(inode, handle, mode: 1, at: 0, count: 1 << 20)
        #expect(try harness.volume.attributes(inode).size == 0)
        try harness.volume.allocate(inode, handle, mode: 0, at: 100, count: 1 << 20)
        #expect(try harness.volume.attributes(inode).size == (1 << 20) + 100)
        #expect(try harness.storeHarness.allKeys().count { $0.contains("/b{") } == 0)
        #expect(throws: Errno.noSpace) {
            try harness.volume.allocate(inode, handle, mode: 0, at: 0, count: 1 << 60)
        }
        #expect(try harness.volume.attributes(inode).size == (1 << 20) + 100)
    }
}
