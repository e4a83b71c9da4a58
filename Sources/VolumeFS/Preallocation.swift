/// The blocks of one file that were preallocated here (fallocate(2)) and that nobody has written since, for
/// `st_blocks`. A belief of this mount, of which nothing is in the store. Pure.
struct Preallocation: Equatable {
    /// Ascending ranges of block indexes that neither overlap nor touch; none is empty.
    private(set) var ranges: [Range<UInt64>] = []
    /// Bytes: where the preallocated space ends, also what was written of it since.
    private(set) var end: UInt64 = 0

    /// More pieces than this are forgotten altogether: a file in which every other block was written
    /// needs no exact count, and the list has a limit.
    static let mostRanges = 1_024

    /// How many blocks.
    var count: UInt64 { ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) } }

    /// Adds blocks, none of which is stored or waits to be; the space reaches to `end` at least.
    mutating func insert(_ blocks: Range<UInt64>, end: UInt64) {
        self.end = max(self.end, end)
        guard !blocks.isEmpty else { return }
        var merged = blocks
        var kept: [Range<UInt64>] = []
        for range in ranges {
            if range.upperBound < merged.lowerBound || range.lowerBound > merged.upperBound {
                kept.append(range)
            } else {
                merged =
                    min(
                        range.lowerBound, merged.lowerBound)..<max(
                        range.upperBound, merged.upperBound)
            }
        }
        let place = kept.firstIndex { $0.lowerBound > merged.lowerBound } ?? kept.count
        kept.insert(merged, at: place)
        ranges = kept
        limit()
    }

    /// Takes blocks out: they were written, punched or cut off.
    mutating func remove(_ blocks: Range<UInt64>) {
        guard !blocks.isEmpty, ranges.contains(where: { $0.overlaps(blocks) }) else { return }
        ranges = ranges.flatMap { range in
            [
                range.lowerBound..<min(max(blocks.lowerBound, range.lowerBound), range.upperBound),
                max(min(blocks.upperBound, range.upperBound), range.lowerBound)..<range.upperBound,
            ].filter { !$0.isEmpty }
        }
        limit()
    }

    /// The file ends now at `size` bytes, in `blockCount` blocks.
    mutating func cut(to size: UInt64, blockCount: UInt64) {
        end = min(end, size)
        remove(blockCount..<UInt64.max)
    }

    private mutating func limit() {
        if ranges.count > Self.mostRanges { self = Preallocation() }
    }
}
