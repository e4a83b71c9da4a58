import Primitives
import TestSupport
import Testing

@testable import Cache

@Suite struct CacheReadingTests {
    @Test func `what is not cached is not pinned and makes no trip`() throws {
        let fixture = try Fixture()
        #expect(fixture.cached(0) == nil)
        #expect(fixture.store.trips.isEmpty)
    }

    @Test func `missing pieces and readahead come in one trip`() throws {
        let fixture = try Fixture()
        for index in 0..<6 { fixture.store.put(Fixture.address(UInt64(index)), [UInt8(index), 9]) }
        _ = try fixture.read(1)
        let pieces = (0..<3).map {
            BlockPiece(address: Fixture.address(UInt64($0)), range: 0..<2)
        }
        let pins = try fixture.cache.pinLoading(
            pieces, ahead: [Fixture.address(3), Fixture.address(4)])
        #expect(pins.map { $0.bytes[0] } == [0, 1, 2])
        for pin in pins { fixture.cache.unpin(pin) }
        #expect(
            fixture.store.trips == [
                [Fixture.address(1)], [0, 2, 3, 4].map { Fixture.address($0) },
            ])
        #expect(fixture.cached(3, 0..<3) == [3, 9, 0], "zeros stand behind what is stored")
        #expect(fixture.cached(4, 0..<1) == [4])
        fixture.expectNothingIsLeaked()
    }

    @Test func `a block is fetched once however many readers want it`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(5), fixture.filled(42))
        fixture.store.holdLoads()
        let results = Locked<[UInt8]>([])
        let readers = (0..<8).map { _ in
            TestThread(name: "reader") {
                guard let bytes = try? fixture.read(5) else { return }
                results.withLock { $0.append(bytes[100]) }
            }
        }
        fixture.store.waitForLoadsInFlight(1)
        fixture.store.releaseLoads()
        for reader in readers { reader.join() }
        #expect(results.withLock { $0 } == Array(repeating: 42, count: 8))
        #expect(fixture.store.trips.count == 1)
        fixture.expectNothingIsLeaked()
    }

    @Test func `a hole takes no memory and reads as zeros without another trip`() throws {
        let fixture = try Fixture()
        #expect(try fixture.read(3) == fixture.filled(0))
        #expect(fixture.cached(3) == fixture.filled(0))
        #expect(fixture.store.trips.count == 1)
        #expect(fixture.cache.usedBytes == 0)
        fixture.cache.assumeAbsent(Fixture.address(4))
        #expect(fixture.cached(4, 7..<9) == [0, 0])
        #expect(fixture.store.trips.count == 1)
    }

    @Test func `holes are forgotten when there are too many`() throws {
        let fixture = try Fixture(blocks: 8)
        for index in 0..<UInt64(HoleRing.limit + 10) {
            fixture.cache.assumeAbsent(Fixture.address(index))
        }
        #expect(fixture.cached(0) == nil)
        #expect(fixture.cached(UInt64(HoleRing.limit + 9), 0..<1) == [0])
    }

    @Test func `a failed load is said to everybody and leaves nothing behind`() throws {
        let fixture = try Fixture()
        fixture.store.fail(with: .noSpace)
        #expect(throws: Errno.noSpace) { try fixture.read(1, ahead: [2, 3]) }
        fixture.expectNothingIsLeaked()
        fixture.store.fail(with: nil)
        fixture.store.put(Fixture.address(1), [5])
        #expect(try fixture.read(1, 0..<1) == [5])
    }

    @Test func `a damaged block of the readahead does not spoil the read`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(1), [5])
        fixture.store.damage(Fixture.address(2))
        #expect(try fixture.read(1, 0..<1, ahead: [2, 3]) == [5])
        #expect(throws: Errno.ioError) { try fixture.read(2) }
        fixture.expectNothingIsLeaked()
    }

    @Test func `who waits for a trip that met a damaged block still gets his own block`() throws {
        let fixture = try Fixture()
        fixture.store.put(Fixture.address(1), [5])
        fixture.store.damage(Fixture.address(2))
        fixture.store.holdLoads()
        let first = TestThread(name: "first") {
            #expect(throws: Errno.ioError) { try fixture.read(2, ahead: [1]) }
        }
        fixture.store.waitForLoadsInFlight(1)
        let second = TestThread(name: "second") {
            #expect((try? fixture.read(1, 0..<1)) == [5])
        }
        fixture.store.releaseLoads()
        first.join()
        second.join()
    }

    @Test func `a read larger than the whole cache is lent from the reserve, which is given back`()
        throws
    {
        let fixture = try Fixture(blocks: 8)
        for index in 0..<40 { fixture.store.put(Fixture.address(UInt64(index)), [UInt8(index)]) }
        let pieces = (0..<40).map {
            BlockPiece(address: Fixture.address(UInt64($0)), range: 0..<1)
        }
        let pins = try fixture.cache.pinLoading(pieces, ahead: [])
        #expect(pins.map { $0.bytes[0] } == (0..<40).map { UInt8($0) })
        #expect(fixture.cache.usedBytes == 40 * fixture.blockBytes)
        for pin in pins { fixture.cache.unpin(pin) }
        #expect(fixture.cache.usedBytes <= fixture.cache.capacityBytes)
        fixture.expectNothingIsLeaked()
    }

    @Test func `without any memory a read fails after the wait limit and lends nothing`() throws {
        let fixture = try Fixture(blockBytes: 1_048_576, blocks: 8, waitLimitMilliseconds: 50)
        let all = 8 + CacheSettings.standardReserveBytes / 1_048_576
        for index in 0...all { fixture.store.put(Fixture.address(UInt64(index)), [1]) }
        let pieces = (0..<all).map {
            BlockPiece(address: Fixture.address(UInt64($0)), range: 0..<1)
        }
        let pins = try fixture.cache.pinLoading(pieces, ahead: [])
        #expect(throws: Errno.ioError) { try fixture.read(UInt64(all)) }
        // As soon as one block is returned there is room again.
        let reader = TestThread(name: "reader") {
            #expect((try? fixture.read(UInt64(all), 0..<1)) == [1])
        }
        fixture.cache.unpin(pins[0])
        reader.join()
        for pin in pins.dropFirst() { fixture.cache.unpin(pin) }
        fixture.expectNothingIsLeaked()
    }

    @Test func `pinned blocks stay while everything else passes through`() throws {
        let fixture = try Fixture(blocks: 16)
        for index in 0..<200 {
            fixture.store.put(Fixture.address(UInt64(index)), fixture.filled(UInt8(index)))
        }
        let pins = try fixture.cache.pinLoading(
            (0..<4).map { BlockPiece(address: Fixture.address(UInt64($0)), range: 0..<4_096) },
            ahead: [])
        for index in 4..<200 { _ = try fixture.read(UInt64(index)) }
        for (index, pin) in pins.enumerated() {
            #expect(pin.bytes.allSatisfy { $0 == UInt8(index) })
            fixture.cache.unpin(pin)
        }
        #expect(fixture.cache.usedBytes <= fixture.cache.capacityBytes)
        fixture.expectNothingIsLeaked()
    }

    @Test func `prefetched blocks arrive without anybody waiting for them`() throws {
        let fixture = try Fixture()
        for index in 0..<4 { fixture.store.put(Fixture.address(UInt64(index)), [UInt8(index)]) }
        fixture.cache.prefetch((0..<4).map { Fixture.address($0) })
        fixture.store.waitForTrips(1)
        // A reader joins the trip in flight, or finds what it brought.
        #expect(try fixture.read(2, 0..<1) == [2])
        #expect(fixture.store.trips.count == 1)
    }

    @Test func `readahead takes a quarter of the cache at most and nothing that is in use`() throws
    {
        let fixture = try Fixture(blocks: 8)
        for index in 0..<100 { fixture.store.put(Fixture.address(UInt64(index)), [UInt8(index)]) }
        _ = try fixture.read(0, ahead: (1..<50).map { $0 })
        #expect(fixture.store.trips[0].count == 3)
        let pins = try fixture.cache.pinLoading(
            (60..<68).map { BlockPiece(address: Fixture.address($0), range: 0..<1) },
            ahead: [Fixture.address(90)])
        #expect(fixture.store.trips[1].count == 8, "no clean memory was left for readahead")
        for pin in pins { fixture.cache.unpin(pin) }
        fixture.expectNothingIsLeaked()
    }

    @Test func `each block size works with the smallest cache`() throws {
        for blockBytes in [4_096, 126_976, 1_048_576] {
            let fixture = try Fixture(blockBytes: blockBytes, blocks: 1)
            #expect(
                fixture.cache.capacityBytes == CacheSettings.minimumBlocks * blockBytes)
            #expect(fixture.cache.shardCount == 1)
            for index in 0..<20 {
                fixture.store.put(Fixture.address(UInt64(index)), [UInt8(index)])
                #expect(try fixture.read(UInt64(index), 0..<2) == [UInt8(index), 0])
                try fixture.write(UInt64(index), at: blockBytes - 1, [7])
                try fixture.flush()
            }
            #expect(fixture.cache.usedBytes <= fixture.cache.capacityBytes)
            fixture.expectNothingIsLeaked()
        }
    }
}
