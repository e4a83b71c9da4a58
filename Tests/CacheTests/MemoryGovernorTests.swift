import Primitives
import Testing

@testable import Cache

@Suite struct MemoryGovernorTests {
    private static let mebibyte = 1 << 20

    private let rule = CapacityRule(
        limitBytes: 320 << 20, blockBytes: 1 << 20, reserveBlocks: 16, blocks: 180...240)

    @Test(arguments: [
        // Others take 40 MiB: there is room for all blocks.
        (40, 0, 240),
        (40 + 240, 240, 240),
        // 320 - 6 - 16 - 100.
        (100 + 200, 200, 198),
        (100, 0, 198),
        // Never below the least capacity, whatever the others take.
        (200 + 240, 240, 180),
        (100_000, 0, 180),
        // Blocks of which little was written take less than they count.
        (60, 240, 240),
    ])
    func `blocks make room for what else the process needs`(
        resident: Int, pool: Int, expected: Int
    ) {
        #expect(
            rule.capacity(residentBytes: resident * Self.mebibyte, poolBlocks: pool) == expected)
    }

    @Test func `clean blocks leave at once, dirty ones when they are stored`() throws {
        let fixture = try Fixture(blocks: 16)
        for index in 0..<16 {
            try fixture.write(
                UInt64(index), at: 0, fixture.filled(UInt8(index)), baseIsAbsent: true)
        }
        fixture.cache.setCapacity(4)
        #expect(fixture.cache.usedBytes == 16 * fixture.blockBytes)
        // Whatever is read meanwhile does without memory of its own.
        #expect(try fixture.read(3) == fixture.filled(3))
        try fixture.flush()
        fixture.cache.setCapacity(4)
        #expect(fixture.cache.usedBytes == 4 * fixture.blockBytes)
        #expect(fixture.cache.pool.residentCount == 4)
        for index in 0..<16 {
            #expect(try fixture.read(UInt64(index)) == fixture.filled(UInt8(index)))
        }
        #expect(fixture.cache.usedBytes == 4 * fixture.blockBytes)
        fixture.cache.setCapacity(16)
        for index in 0..<16 {
            #expect(try fixture.read(UInt64(index)) == fixture.filled(UInt8(index)))
        }
        #expect(fixture.cache.usedBytes == 16 * fixture.blockBytes)
        fixture.expectNothingIsLeaked()
    }

    @Test func `the cache follows what the process takes, down and up again`() throws {
        let fixture = try Fixture(blocks: 64, leastBlocks: 8)
        let block = fixture.blockBytes
        let reserve = CacheSettings.standardReserveBytes
        let limit = reserve + CapacityRule.marginBytes + 64 * block
        let others = Others()
        let pool = fixture.cache.pool
        fixture.cache.keepMemory(within: limit) {
            others.bytes.withLock { $0 } + pool.residentCount * block
        }
        for index in 0..<64 { _ = try fixture.read(UInt64(index), 0..<1) }
        for (bytes, expected) in [(30 * block, 34), (64 * block, 8), (10 * block, 54), (0, 64)] {
            others.bytes.withLock { $0 = bytes }
            let deadline = Deadline.after(milliseconds: 10_000)
            while fixture.cache.pool.capacity != expected, !deadline.hasPassed { pause() }
            #expect(fixture.cache.pool.capacity == expected)
            #expect(fixture.cache.pool.residentCount <= 64)
        }
    }

    private final class Others: Sendable {
        let bytes = Locked(0)
    }

    private func pause() {
        let never = Monitor(false)
        let _: Bool? = never.wait(until: .after(milliseconds: 5)) { _ in nil }
    }
}
