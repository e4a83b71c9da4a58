import TestSupport
import Testing

@testable import Cache

/// The naive reference: one flag a byte.
private struct Reference {
    var flags: [Bool]

    init(count: Int) { flags = Array(repeating: false, count: count) }

    mutating func set(_ range: Range<Int>, _ value: Bool) -> Int {
        var changed = 0
        for index in range where flags[index] != value {
            flags[index] = value
            changed += 1
        }
        return changed
    }

    var ranges: [Range<Int>] {
        var result: [Range<Int>] = []
        var start: Int?
        for (index, flag) in (flags + [false]).enumerated() {
            if flag, start == nil { start = index }
            if !flag, let begin = start {
                result.append(begin..<index)
                start = nil
            }
        }
        return result
    }
}

/// Compares everything that can be asked.
private func expectSame(
    _ set: ByteRanges, _ reference: Reference, _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let ranges = reference.ranges
    #expect(set.ranges == ranges, comment, sourceLocation: sourceLocation)
    #expect(set.count == ranges.count, comment, sourceLocation: sourceLocation)
    #expect(set.isEmpty == ranges.isEmpty, comment, sourceLocation: sourceLocation)
    #expect(
        set.byteCount == reference.flags.count { $0 }, comment, sourceLocation: sourceLocation)
    if let first = ranges.first, let last = ranges.last {
        #expect(
            set.span == first.lowerBound..<last.upperBound, comment,
            sourceLocation: sourceLocation)
    }
}

@Suite struct ByteRangesTests {
    private static let size = 7

    private static var allRanges: [Range<Int>] {
        (0...size).flatMap { lower in (lower...size).map { lower..<$0 } }
    }

    @Test func `every insertion and removal at every boundary agrees with one flag a byte`() {
        // Every set over 7 bytes, met with every range.
        for pattern in 0..<(1 << Self.size) {
            var reference = Reference(count: Self.size)
            for bit in 0..<Self.size where pattern & (1 << bit) != 0 {
                reference.flags[bit] = true
            }
            var start = ByteRanges()
            for range in reference.ranges.shuffled() { start.insert(range) }
            for range in Self.allRanges {
                var grown = start
                var grownReference = reference
                #expect(grown.insert(range) == grownReference.set(range, true))
                expectSame(grown, grownReference, "\(pattern) + \(range)")
                var shrunk = start
                var shrunkReference = reference
                #expect(shrunk.remove(range) == shrunkReference.set(range, false))
                expectSame(shrunk, shrunkReference, "\(pattern) − \(range)")
                #expect(
                    start.contains(range) == range.allSatisfy { reference.flags[$0] },
                    "\(pattern) ∋ \(range)")
                var gaps: [Range<Int>] = []
                start.forEachGap(in: range) { gaps.append($0) }
                var expected = Reference(count: Self.size)
                for index in range where !reference.flags[index] { expected.flags[index] = true }
                #expect(gaps == expected.ranges, "gaps of \(pattern) in \(range)")
            }
        }
    }

    @Test func `long random histories agree with one flag a byte`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        let size = 300
        for _ in 0..<60 {
            var set = ByteRanges()
            var reference = Reference(count: size)
            for _ in 0..<120 {
                let lower = Int.random(in: 0...size, using: &generator)
                let upper = min(size, lower + Int.random(in: 0...20, using: &generator))
                if Bool.random(using: &generator) {
                    #expect(set.insert(lower..<upper) == reference.set(lower..<upper, true))
                } else {
                    #expect(set.remove(lower..<upper) == reference.set(lower..<upper, false))
                }
            }
            expectSame(set, reference, "seed \(seed)")
            var other = ByteRanges()
            for _ in 0..<10 {
                let lower = Int.random(in: 0..<size, using: &generator)
                other.insert(lower..<min(size, lower + 5))
            }
            let added = other.ranges.reduce(0) { $0 + reference.set($1, true) }
            #expect(set.formUnion(other) == added)
            expectSame(set, reference, "union, seed \(seed)")
        }
    }

    @Test func `an empty set has no bytes and covers only nothing`() {
        var set = ByteRanges()
        #expect(set.isEmpty && set.count == 0 && set.byteCount == 0 && set.ranges.isEmpty)
        #expect(set.contains(5..<5) && !set.contains(5..<6))
        #expect(set.insert(3..<3) == 0 && set.isEmpty)
        #expect(set.remove(0..<100) == 0)
    }
}
