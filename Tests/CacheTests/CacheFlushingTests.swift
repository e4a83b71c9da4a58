import Primitives
import TestSupport
import Testing

@testable import Cache

@Suite struct CacheFlushingTests {
    @Test func `dirty blocks are taken in order and up to the limit`() throws {
        let fixture = try Fixture()
        for index in [5, 1, 9, 3] as [UInt64] { try fixture.write(index, at: 0, [1, 2]) }
        let first = try fixture.take(4)
        #expect(first.map(\.address.index.rawValue) == [1, 3])
        fixture.cache.finishFlush(first, forms: first.map { fixture.store.store($0) })
        #expect(fixture.cache.dirtyBytes == 4)
        let second = try fixture.take(1)
        #expect(second.map(\.address.index.rawValue) == [5], "at least one block")
        fixture.cache.finishFlush(second, forms: second.map { fixture.store.store($0) })
        try fixture.flush()
        #expect(try fixture.take().isEmpty)
        fixture.expectNothingIsLeaked()
    }

    @Test func `a small patch is a copy that later writes do not change`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 100, [1, 1])
        try fixture.write(0, at: 200, [1])
        let blocks = try fixture.take()
        let block = try #require(blocks.first)
        #expect(!block.isWholeKnown && block.ranges == [100..<102, 200..<201])
        try fixture.write(0, at: 100, [2])
        #expect(Array(block.bytes(of: 100..<102)) == [1, 1])
        #expect(Array(block.bytes(of: 200..<201)) == [1])
        fixture.cache.finishFlush(blocks, forms: [fixture.store.store(block)])
        #expect(fixture.cache.dirtyBytes == 1, "the byte written meanwhile is still dirty")
        try fixture.flush()
        #expect(fixture.store.content(Fixture.address(0))[100..<102] == [2, 1])
        fixture.expectNothingIsLeaked()
    }

    @Test func `a frozen block can be written, and the flush keeps seeing what it took`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, fixture.filled(1), baseIsAbsent: true)
        let blocks = try fixture.take()
        let block = try #require(blocks.first)
        #expect(block.isWholeKnown && block.contentEnd == fixture.blockBytes)
        try fixture.write(0, at: 7, [2, 2])
        #expect(fixture.cached(0, 6..<10) == [1, 2, 2, 1])
        #expect(block.memory.allSatisfy { $0 == 1 })
        #expect(fixture.cache.dirtyBytes == fixture.blockBytes + 2)
        fixture.cache.finishFlush(blocks, forms: [fixture.store.store(block)])
        #expect(fixture.cache.dirtyBytes == 2)
        try fixture.flush()
        #expect(fixture.store.content(Fixture.address(0))[6..<10] == [1, 2, 2, 1])
        fixture.expectNothingIsLeaked()
    }

    @Test(arguments: [1, 4_096])
    func `after a failed flush everything is dirty again and newer bytes win`(
        length: Int
    ) throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, [UInt8](repeating: 1, count: length))
        try fixture.write(1, at: 0, [1])
        let blocks = try fixture.take()
        try fixture.write(0, at: 0, [2])
        fixture.cache.flushFailed(blocks, .ioError)
        #expect(fixture.cache.dirtyBytes == length + 1)
        let again = try fixture.take()
        #expect(again.map(\.ranges) == [[0..<length], [0..<1]])
        #expect(again.first?.memory[0] == 2)
        #expect(
            again.allSatisfy { $0.form == .unknown }, "nobody knows how far the flush came")
        fixture.cache.finishFlush(again, forms: again.map { fixture.store.store($0) })
        #expect(fixture.store.content(Fixture.address(0))[0] == 2)
        fixture.expectNothingIsLeaked()
    }

    @Test func `whoever finds nothing dirty knows that the flush of another is over`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, [1])
        let blocks = try fixture.take()
        let isStored = Locked(false)
        let other = TestThread(name: "fsync") {
            #expect((try? fixture.take())?.isEmpty == true)
            #expect(isStored.withLock { $0 })
        }
        let forms = blocks.map { fixture.store.store($0) }
        isStored.withLock { $0 = true }
        fixture.cache.finishFlush(blocks, forms: forms)
        other.join()
    }

    @Test func `waiting for the flush of another ends with EIO`() throws {
        let fixture = try Fixture(waitLimitMilliseconds: 30)
        try fixture.write(0, at: 0, [1])
        let blocks = try fixture.take()
        #expect(throws: Errno.ioError) { try fixture.take() }
        #expect(try fixture.take(owner: InodeID(99)).isEmpty, "other inodes are not concerned")
        fixture.cache.flushFailed(blocks, .ioError)
        try fixture.flush()
        fixture.expectNothingIsLeaked()
    }

    @Test func `the form that a flush reports is the form of the next one`() throws {
        let fixture = try Fixture()
        try fixture.write(0, at: 0, fixture.filled(1), baseIsAbsent: true)
        try fixture.flush(as: .packed)
        try fixture.write(0, at: 0, [2])
        let blocks = try fixture.take()
        #expect(blocks.first?.form == .packed)
        #expect(blocks.first?.isWholeKnown == true, "a packed block is replaced whole")
        fixture.cache.finishFlush(blocks, forms: [.raw])
        fixture.store.put(Fixture.address(0), [2] + fixture.filled(1).dropFirst())
        try fixture.write(0, at: 1, [3])
        let patch = try fixture.take()
        #expect(patch.first?.form == .raw && patch.first?.isWholeKnown == false)
        fixture.cache.finishFlush(patch, forms: patch.map { fixture.store.store($0) })
        fixture.expectNothingIsLeaked()
    }

    @Test func `a load that began before a flush does not bring an old form`() throws {
        let fixture = try Fixture()
        fixture.store.holdLoads()
        let reader = TestThread(name: "reader") { _ = try? fixture.read(0) }
        fixture.store.waitForLoadsInFlight(1)
        // The load in flight saw a hole.
        try fixture.write(0, at: 0, [1])
        try fixture.flush()
        fixture.store.releaseLoads()
        reader.join()
        #expect(fixture.cached(0, 0..<2) == [1, 0])
        try fixture.write(0, at: 5, [1])
        let blocks = try fixture.take()
        #expect(blocks.first?.form == .raw)
        fixture.cache.finishFlush(blocks, forms: blocks.map { fixture.store.store($0) })
        fixture.expectNothingIsLeaked()
    }

    @Test func `zeros at the end of a block are not content`() throws {
        let fixture = try Fixture()
        for (index, length) in [0, 1, 7, 8, 9, 4_095, 4_096].enumerated() {
            let bytes =
                [UInt8](repeating: 1, count: length)
                + [UInt8](repeating: 0, count: fixture.blockBytes - length)
            try fixture.write(UInt64(index), at: 0, bytes, baseIsAbsent: true)
        }
        let blocks = try fixture.take()
        #expect(blocks.map(\.contentEnd) == [0, 1, 7, 8, 9, 4_095, 4_096])
        fixture.cache.finishFlush(blocks, forms: blocks.map { fixture.store.store($0) })
    }

    @Test func `dirty blocks outlive everything that passes through the cache`() throws {
        let fixture = try Fixture(blocks: 16)
        for index in 0..<8 { try fixture.write(UInt64(index), at: 3, [UInt8(index)]) }
        for index in 100..<300 {
            fixture.store.put(Fixture.address(UInt64(index)), [1])
            _ = try fixture.read(UInt64(index))
        }
        for index in 0..<8 { #expect(fixture.cached(UInt64(index), 3..<4) == [UInt8(index)]) }
        #expect(try fixture.flush() == 8)
        fixture.expectNothingIsLeaked()
    }

    // MARK: The flusher

    @Test func `old dirty data is flushed by itself`() throws {
        let fixture = try Fixture(ageMilliseconds: 20)
        let flushed = Monitor(0)
        fixture.cache.startFlusher { owner in
            guard let count = try? fixture.flush(owner: owner) else { return }
            flushed.change { $0 += count }
        }
        try fixture.write(0, at: 0, [1])
        let _: Bool? = flushed.wait { $0 >= 1 ? true : nil }
        #expect(fixture.cache.dirtyBytes == 0)
        #expect(fixture.store.content(Fixture.address(0))[0] == 1)
        fixture.cache.stop()
    }

    @Test func `much dirty data is flushed before it is old, and a writer at the limit goes on`()
        throws
    {
        let fixture = try Fixture(blocks: 64, dirtyLimit: 8 * 4_096, ageMilliseconds: 3_600_000)
        let active = Locked<Set<InodeID>>([])
        fixture.cache.startFlusher { owner in
            let isAlone = active.withLock { $0.insert(owner).inserted }
            #expect(isAlone, "an inode is flushed by one thread at a time")
            _ = try? fixture.flush(owner: owner)
            _ = active.withLock { $0.remove(owner) }
        }
        for index in 0..<200 {
            try fixture.cache.throttle(incoming: 4_096)
            #expect(fixture.cache.dirtyBytes <= 8 * 4_096)
            try fixture.write(UInt64(index), at: 0, fixture.filled(7), baseIsAbsent: true)
        }
        try fixture.flush()
        fixture.cache.stop()
        for index in 0..<200 {
            #expect(fixture.store.content(Fixture.address(UInt64(index)))[4_095] == 7)
        }
        fixture.expectNothingIsLeaked()
    }

    @Test func `a writer at the limit learns that the store has no room, until it has some`()
        throws
    {
        let fixture = try Fixture(blocks: 64, dirtyLimit: 2 * 4_096, ageMilliseconds: 3_600_000)
        let isFull = Locked(true)
        let hasStored = Monitor(false)
        fixture.cache.startFlusher { owner in
            guard let blocks = try? fixture.take(owner: owner) else { return }
            if isFull.withLock({ $0 }) {
                fixture.cache.flushFailed(blocks, .noSpace)
            } else {
                fixture.cache.finishFlush(blocks, forms: blocks.map { fixture.store.store($0) })
                hasStored.change { $0 = true }
            }
        }
        for index in 0..<2 { try fixture.write(UInt64(index), at: 0, fixture.filled(7)) }
        #expect(throws: Errno.noSpace) { try fixture.cache.throttle(incoming: 4_096) }
        isFull.withLock { $0 = false }
        let _: Bool? = hasStored.wait { $0 ? true : nil }
        try fixture.cache.throttle(incoming: 4_096)
        fixture.cache.stop()
        #expect(fixture.cache.dirtyBytes == 0)
        fixture.expectNothingIsLeaked()
    }

    @Test func `a store that fails is not asked without pause, and nothing is lost`() throws {
        let fixture = try Fixture(ageMilliseconds: 0)
        let attempts = Monitor<[Deadline]>([])
        fixture.cache.startFlusher { owner in
            let isLast = attempts.change { attempts in
                attempts.append(.now)
                return attempts.count >= 4
            }
            guard let blocks = try? fixture.take(owner: owner) else { return }
            if isLast {
                fixture.cache.finishFlush(blocks, forms: blocks.map { fixture.store.store($0) })
            } else {
                fixture.cache.flushFailed(blocks, .ioError)
            }
        }
        try fixture.write(0, at: 0, [1])
        let instants: [Deadline]? = attempts.wait { $0.count >= 4 ? $0 : nil }
        fixture.cache.stop()
        let times = try #require(instants).map(\.monotonicNanoseconds)
        #expect(times[1] - times[0] >= 100_000_000)
        #expect(times[2] - times[1] >= 200_000_000)
        #expect(times[3] - times[2] >= 400_000_000)
        #expect(fixture.store.content(Fixture.address(0))[0] == 1)
        fixture.expectNothingIsLeaked()
    }
}
