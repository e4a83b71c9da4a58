import Primitives
import TestSupport
import Testing

@testable import Cache

@Suite struct CacheWritingTests {
    @Test func `a write never fetches the base, and a read merges it under what was written`()
        throws
    {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(0), fixture.filled(1))
        try fixture.write(0, at: 100, [2, 2, 2])
        #expect(fixture.store.trips.isEmpty)
        #expect(fixture.cached(0, 100..<103) == [2, 2, 2])
        #expect(fixture.cached(0, 99..<103) == nil, "byte 99 is not known")
        var expected = fixture.filled(1)
        expected.replaceSubrange(100..<103, with: [2, 2, 2])
        #expect(try fixture.read(0) == expected)
        #expect(fixture.cache.dirtyBytes == 3)
        try fixture.flush()
        #expect(fixture.store.content(Fixture.address(0)) == expected)
        fixture.expectNothingIsLeaked()
    }

    @Test func `a new block is known whole, and its zeros are not flushed`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 10, [9, 9], baseIsAbsent: true)
        #expect(fixture.cached(0)?.prefix(13) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 0][...])
        let blocks = try fixture.take()
        let block = try #require(blocks.first)
        #expect(block.ranges == [10..<12] && block.isWholeKnown && block.form == .absent)
        #expect(block.contentEnd == 12)
        #expect(Array(block.memory[0..<12]) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9])
        fixture.cache.finishFlush(blocks, forms: [fixture.store.store(block, as: .packed)])
        #expect(fixture.store.trips.isEmpty)
        fixture.expectNothingIsLeaked()
    }

    @Test func `zeros of reused memory are zeros`() throws {
        // Every slot has held other bytes before.
        let fixture = try Fixture(blocks: 8)
        for index in 0..<8 {
            try fixture.write(UInt64(index), at: 0, fixture.filled(0xFF))
        }
        fixture.cache.discard(Fixture.data, owner: Fixture.owner, blockCount: 8)
        try fixture.write(3, at: 5, [1], baseIsAbsent: true)
        try fixture.write(3, at: 50, [2], baseIsAbsent: true)
        var expected = fixture.filled(0)
        expected[5] = 1
        expected[50] = 2
        #expect(fixture.cached(3, 40..<60) == Array(expected[40..<60]))
        #expect(fixture.cached(3) == expected)
        try fixture.flush()
        #expect(fixture.store.content(Fixture.address(3)) == expected)
        fixture.expectNothingIsLeaked()
    }

    @Test func `dirty bytes are counted once each`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, [1, 2, 3])
        try fixture.write(0, at: 2, [1, 2, 3])
        try fixture.write(1, at: 0, [1])
        try fixture.write(1, at: 0, [1], owner: InodeID(8), data: DataID(80))
        #expect(fixture.cache.dirtyBytes == 7)
        #expect(fixture.cache.dirtyBytes(of: Fixture.owner) == 6)
        #expect(fixture.cache.dirtyBytes(of: InodeID(8)) == 1)
        #expect(fixture.cache.dirtyBytes(of: InodeID(9)) == 0)
        let blocks = try fixture.take()
        #expect(fixture.cache.dirtyBytes == 7, "what is being stored is not stored yet")
        fixture.cache.finishFlush(blocks, forms: blocks.map { fixture.store.store($0) })
        #expect(fixture.cache.dirtyBytes == 1)
        try fixture.flush(owner: InodeID(8))
        fixture.expectNothingIsLeaked()
    }

    @Test func `writeZeros writes zeros`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(0), fixture.filled(3))
        _ = try fixture.read(0)
        try fixture.cache.writeZeros(
            Fixture.address(0), owner: Fixture.owner, range: 5..<8, baseIsAbsent: false)
        #expect(fixture.cached(0, 4..<9) == [3, 0, 0, 0, 3])
        #expect(fixture.cache.dirtyBytes == 3)
        try fixture.flush()
        #expect(fixture.store.content(Fixture.address(0))[4..<9] == [3, 0, 0, 0, 3])
    }

    @Test func `a write during a load wins over what the load brings`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(0), fixture.filled(1), form: .packed)
        fixture.store.holdLoads()
        let reader = TestThread(name: "reader") {
            let bytes = try? fixture.read(0)
            #expect(bytes?[9] == 1 && bytes?[10] == 2 && bytes?[11] == 1)
        }
        fixture.store.waitForLoadsInFlight(1)
        try fixture.write(0, at: 10, [2])
        #expect(fixture.cached(0, 10..<11) == [2], "the writer did not wait")
        fixture.store.releaseLoads()
        reader.join()
        let blocks = try fixture.take()
        #expect(blocks.first?.form == .packed)
        #expect(blocks.first?.isWholeKnown == true)
        fixture.cache.flushFailed(blocks, .ioError)
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }

    @Test func `a write without memory fails after the wait limit and changes nothing`() throws {
        let fixture = try Fixture(blockBytes: 1_048_576, blocks: 8, waitLimitMilliseconds: 50)
        let all = 8 + CacheSettings.standardReserveBytes / 1_048_576
        for index in 0..<all { try fixture.write(UInt64(index), at: 0, [1]) }
        #expect(throws: Errno.ioError) { try fixture.write(UInt64(all), at: 0, [1]) }
        #expect(fixture.cache.dirtyBytes == all)
        // A flush makes room for one who waits.
        let writer = TestThread(name: "writer") {
            #expect(throws: Never.self) { try fixture.write(UInt64(all), at: 0, [1]) }
        }
        try fixture.flush()
        writer.join()
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }

    @Test func `the table finds every block while thousands come and go`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        var table = BlockTable()
        defer { table.destroy() }
        var present: Set<UInt64> = []
        for _ in 0..<20_000 {
            let index = UInt64.random(in: 0..<700, using: &generator)
            let address = Fixture.address(index)
            let entry = table.find(address, hash: address.mixed)
            #expect((entry != nil) == present.contains(index), "seed \(seed)")
            if let entry {
                table.remove(entry)
                present.remove(index)
            } else {
                _ = table.insert(BlockEntry(address: address))
                present.insert(index)
            }
            #expect(table.count == present.count)
        }
        let all = table.entries { _ in true }
        #expect(Set(all.map { $0.pointee.address.index.rawValue }) == present)
    }
}
