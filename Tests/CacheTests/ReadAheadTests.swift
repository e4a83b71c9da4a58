import Primitives
import TestSupport
import Testing

@testable import Cache

private let block = BlockSize.standard
private let large: UInt64 = 4 << 30

/// Reads `count` bytes at each of `offsets` and returns what is to be fetched after each.
private func decisions(
    _ offsets: [UInt64], count: Int, size: UInt64 = large, blockSize: BlockSize = block
) -> [Range<UInt64>?] {
    var readAhead = ReadAhead()
    return offsets.map {
        readAhead.decide(
            offset: FileOffset($0), count: count, blockSize: blockSize, fileSize: size)
    }
}

@Suite struct ReadAheadTests {
    @Test func `a sequential reader gets windows that double up to 8 MiB and never overlap`() {
        let count = 128 * 1_024
        let offsets = (0..<2_000).map { UInt64($0 * count) }
        let ranges = decisions(offsets, count: count).compactMap { $0 }
        #expect(ranges.first == 2..<4, "two blocks behind the two that the first read touches")
        for (earlier, later) in zip(ranges, ranges.dropFirst()) {
            #expect(earlier.upperBound <= later.lowerBound)
        }
        let limit = UInt64(8 * 1_048_576 / block.bytes)
        #expect(ranges.allSatisfy { UInt64($0.count) <= limit })
        #expect(ranges.contains { UInt64($0.count) >= limit / 2 })
        // What is asked for is ahead of the reader, and nothing is left out in between.
        #expect(ranges.reduce(0) { $0 + $1.count } >= 2_000 * count / block.bytes - 4)
    }

    @Test func `the window doubles with each answer`() throws {
        let size = try #require(BlockSize(bytes: 4_096))
        let ranges = decisions(
            (0..<40).map { UInt64($0 * 4_096) }, count: 4_096, blockSize: size
        ).compactMap { $0 }
        // 2, 4, 8 and 16 blocks beyond the read, without what was asked for before.
        #expect(ranges.prefix(4) == [1..<3, 3..<6, 6..<11, 11..<20][...])
    }

    @Test func `a read that does not start at the beginning needs a second one in sequence`() {
        let count: UInt64 = 65_536
        let start: UInt64 = 100 << 20
        let answers = decisions([start, start + count], count: Int(count))
        #expect(answers[0] == nil)
        #expect(answers[1] != nil)
    }

    @Test func `a seek starts the window anew`() {
        var readAhead = ReadAhead()
        let count = 1_048_576
        func read(_ offset: UInt64) -> Range<UInt64>? {
            readAhead.decide(
                offset: FileOffset(offset), count: count, blockSize: block, fileSize: large)
        }
        for index in 0..<20 { _ = read(UInt64(index * count)) }
        #expect(read(1 << 30) == nil)
        let first = read(1 << 30 + UInt64(count))
        #expect(first.map { $0.count } == 2)
    }

    @Test func `random reads get nothing`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        let offsets = (0..<500).map { _ in
            UInt64.random(in: 1..<(large / 4_096), using: &generator) * 4_096
        }
        let answers = decisions(offsets, count: 4_096).compactMap { $0 }
        #expect(answers.count <= 2, "seed \(seed): only chance makes a sequence")
    }

    @Test(arguments: [Int64(10 << 20), -(10 << 20)])
    func `a constant stride fetches the next step only`(stride: Int64) {
        let start: Int64 = 1 << 30
        let offsets = (0..<6).map { UInt64(start + Int64($0) * stride) }
        let answers = decisions(offsets, count: 65_536)
        #expect(answers[0] == nil && answers[1] == nil)
        for step in 2..<6 {
            let next = UInt64(start + Int64(step + 1) * stride)
            let first = next / UInt64(block.bytes)
            let end = (next + 65_536 + UInt64(block.bytes) - 1) / UInt64(block.bytes)
            #expect(answers[step] == first..<end)
        }
    }

    @Test func `reading backward fetches what lies before`() {
        let count = 128 * 1_024
        let offsets = (0..<40).map { UInt64(1 << 30) - UInt64($0 * count) }
        let answers = decisions(offsets, count: count)
        let late = answers.suffix(10).compactMap { $0 }
        #expect(!late.isEmpty)
        for (offset, answer) in zip(offsets, answers).suffix(10) {
            if let answer {
                #expect(answer.upperBound <= offset / UInt64(block.bytes) + 1)
            }
        }
    }

    @Test func `requests that arrive a little out of order are still a sequence`() {
        let count: UInt64 = 131_072
        let order: [UInt64] = [0, 1, 3, 2, 5, 4, 6, 8, 7, 9, 11, 10, 12, 13, 14, 15]
        let ranges = decisions(order.map { $0 * count }, count: Int(count)).compactMap { $0 }
        #expect((ranges.last?.upperBound ?? 0) >= 20)
        for (earlier, later) in zip(ranges, ranges.dropFirst()) {
            #expect(earlier.upperBound <= later.lowerBound)
        }
    }

    @Test func `nothing behind the end of the file is fetched`() {
        let bytes = UInt64(block.bytes)
        for size in [1, bytes - 1, bytes, bytes + 1, 3 * bytes, 3 * bytes + 1] {
            let blocks = block.blockCount(forSize: size)
            let offsets = stride(from: UInt64(0), to: size, by: 16_384).map { $0 }
            let ranges = decisions(offsets, count: 16_384, size: size).compactMap { $0 }
            #expect(ranges.allSatisfy { $0.upperBound <= blocks && !$0.isEmpty })
        }
        #expect(decisions([large, large + 1], count: 10) == [nil, nil])
        #expect(decisions([0], count: 0) == [nil])
        let last = FileOffset.maximum.bytes - 10
        #expect(decisions([last], count: 100, size: FileOffset.maximum.bytes) == [nil])
    }
}
