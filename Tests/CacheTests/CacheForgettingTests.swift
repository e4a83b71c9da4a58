import Primitives
import TestSupport
import Testing

@testable import Cache

@Suite struct CacheForgettingTests {
    private func loaded(_ count: Int) throws -> Fixture {
        let fixture = try Fixture()
        for index in 0..<count {
            fixture.store.put(Fixture.address(UInt64(index)), fixture.filled(1))
            _ = try fixture.read(UInt64(index))
        }
        return fixture
    }

    @Test(arguments: [UInt64(10), 1_000_000])
    func `truncation forgets what lies behind and makes zeros in the last block`(blockCount: UInt64)
        throws
    {
        let fixture = try loaded(6)
        try fixture.write(2, at: 90, [2, 2, 2])
        try fixture.write(2, at: 200, [2])
        try fixture.write(4, at: 0, [2])
        fixture.cache.truncate(
            Fixture.data, owner: Fixture.owner, to: BlockIndex(2), keeping: 91,
            blockCount: blockCount)
        #expect(fixture.cache.dirtyBytes == 1)
        var expected = fixture.filled(0)
        expected.replaceSubrange(0..<90, with: fixture.filled(1)[0..<90])
        expected[90] = 2
        #expect(fixture.cached(2) == expected)
        #expect(fixture.cached(1) == fixture.filled(1))
        for index in 3..<6 { #expect(fixture.cached(UInt64(index)) == nil) }
        #expect(try fixture.take().first?.form == .unknown)
    }

    @Test func `truncation to a block boundary forgets the block, too`() throws {
        let fixture = try loaded(4)
        try fixture.write(2, at: 0, [2])
        fixture.cache.truncate(
            Fixture.data, owner: Fixture.owner, to: BlockIndex(2), keeping: 0, blockCount: 4)
        #expect(fixture.cached(1) != nil && fixture.cached(2) == nil && fixture.cached(3) == nil)
        fixture.expectNothingIsLeaked()
    }

    @Test func `truncation of a block of which little is known makes only its tail known`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(0), fixture.filled(1))
        try fixture.write(0, at: 10, [2])
        try fixture.write(0, at: 100, [2])
        fixture.cache.truncate(
            Fixture.data, owner: Fixture.owner, to: BlockIndex(0), keeping: 50, blockCount: 1)
        #expect(fixture.cached(0, 50..<4_096) == Array(fixture.filled(0)[50...]))
        #expect(fixture.cached(0, 0..<50) == nil)
        #expect(fixture.cached(0, 10..<11) == [2])
        fixture.store.put(Fixture.address(0), Array(fixture.filled(1)[..<50]))
        #expect(try fixture.read(0)[0..<12] == [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1])
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }

    @Test func `truncation waits for a flush in flight`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, [1])
        let blocks = try fixture.take()
        let isFinished = Locked(false)
        let other = TestThread(name: "truncate") {
            fixture.cache.truncate(
                Fixture.data, owner: Fixture.owner, to: BlockIndex(0), keeping: 0, blockCount: 1)
            #expect(isFinished.withLock { $0 })
        }
        isFinished.withLock { $0 = true }
        fixture.cache.finishFlush(blocks, forms: [.raw])
        other.join()
        fixture.expectNothingIsLeaked()
    }

    @Test func `a discarded file leaves nothing, whatever the block count says`() throws {
        let fixture = try loaded(4)
        try fixture.write(3, at: 0, [2])
        try fixture.write(900, at: 0, [2])
        fixture.cache.discard(Fixture.data, owner: Fixture.owner, blockCount: 4)
        for index in [0, 1, 2, 3, 900] as [UInt64] { #expect(fixture.cached(index, 0..<1) == nil) }
        #expect(fixture.cache.dirtyBytes == 0)
        fixture.expectNothingIsLeaked()
    }

    @Test func `a punched hole forgets its blocks only`() throws {
        let fixture = try loaded(5)
        try fixture.write(2, at: 0, [2])
        fixture.cache.forget(Fixture.data, owner: Fixture.owner, blocks: 1..<3)
        #expect(
            (0..<5).map { fixture.cached(UInt64($0)) != nil } == [true, false, false, true, true])
        fixture.expectNothingIsLeaked()
    }

    @Test(arguments: [1..<3, nil] as [Range<UInt64>?])
    func `invalidation keeps what this mount wrote and forgets the rest`(blocks: Range<UInt64>?)
        throws
    {
        let fixture = try loaded(4)
        try fixture.write(2, at: 10, [2])
        fixture.store.put(Fixture.address(2), fixture.filled(8), form: .packed)
        fixture.cache.invalidate(Fixture.data, blocks: blocks)
        #expect((fixture.cached(0) == nil) == (blocks == nil))
        #expect(fixture.cached(1) == nil)
        #expect(fixture.cached(2, 10..<11) == [2])
        #expect(fixture.cached(2, 9..<11) == nil)
        #expect(try fixture.read(2, 9..<12) == [8, 2, 8])
        #expect(fixture.cache.dirtyBytes == 1)
        let taken = try fixture.take()
        #expect(taken.first?.form == .packed, "the load has seen the new form")
        fixture.cache.flushFailed(taken, .ioError)
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }

    @Test func `what another mount changed during a flush is fetched anew afterwards`() throws {
        let fixture = try loaded(1)
        try fixture.write(0, at: 10, [2])
        let blocks = try fixture.take()
        fixture.cache.invalidateAll()
        #expect(fixture.cached(0, 10..<11) == [2], "not stored yet, so still ours")
        _ = fixture.store.store(blocks[0])
        fixture.store.put(Fixture.address(0), fixture.filled(9), form: .packed)
        fixture.cache.finishFlush(blocks, forms: [.raw])
        #expect(fixture.cached(0, 10..<11) == nil)
        #expect(try fixture.read(0) == fixture.filled(9))
        try fixture.write(0, at: 0, [1])
        #expect(try fixture.take().first?.form == .packed)
    }

    @Test(arguments: ["invalidate", "truncate", "discard"])
    func `a load that began before a change is not installed, and who waits gets the newest truth`(
        change: String
    ) throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(0), fixture.filled(1))
        fixture.store.holdLoads()
        let results = Locked<[[UInt8]]>([])
        let readers = (0..<3).map { _ in
            TestThread(name: "reader") {
                guard let bytes = try? fixture.read(0) else { return }
                results.withLock { $0.append(bytes) }
            }
        }
        fixture.store.waitForLoadsInFlight(1)
        fixture.store.put(Fixture.address(0), fixture.filled(2))
        switch change {
        case "invalidate": fixture.cache.invalidate(Fixture.data, blocks: 0..<1)
        case "truncate":
            fixture.cache.truncate(
                Fixture.data, owner: Fixture.owner, to: BlockIndex(0), keeping: 4_095,
                blockCount: 1)
        default: fixture.cache.discard(Fixture.data, owner: Fixture.owner, blockCount: 1)
        }
        fixture.store.releaseLoads()
        for reader in readers { reader.join() }
        #expect(
            results.withLock { $0 } == Array(repeating: fixture.filled(2), count: 3), "\(change)")
        fixture.expectNothingIsLeaked()
    }

    @Test func `a pinned block stays readable after it was forgotten`() throws {
        let fixture = try loaded(1)
        let pin = try #require(fixture.cache.pin(Fixture.address(0), 0..<4_096))
        fixture.store.put(Fixture.address(0), fixture.filled(2))
        fixture.cache.invalidateAll()
        for index in 1..<200 {
            fixture.store.put(Fixture.address(UInt64(index)), fixture.filled(3))
            _ = try fixture.read(UInt64(index))
        }
        #expect(try fixture.read(0) == fixture.filled(2))
        #expect(pin.bytes.allSatisfy { $0 == 1 })
        fixture.cache.unpin(pin)
        fixture.expectNothingIsLeaked()
    }

    @Test func `readers of a dirty block that was invalidated do not see the new base appear`()
        throws
    {
        let fixture = try loaded(1)
        try fixture.write(0, at: 0, [7])
        let pin = try #require(fixture.cache.pin(Fixture.address(0), 0..<4_096))
        fixture.store.put(Fixture.address(0), fixture.filled(2))
        fixture.cache.invalidateAll()
        #expect(try fixture.read(0) == [7] + fixture.filled(2).dropFirst())
        #expect(pin.bytes.dropFirst().allSatisfy { $0 == 1 })
        fixture.cache.unpin(pin)
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }
}
