import Primitives

/// Pages in the kernel's cache of a file that may be older than a write that is under way.
///
/// write(2) copies into the kernel's pages before it asks the daemon. When another mount's change has the
/// kernel drop such a page in between, and a reader asks for it anew, then the answer may be made before the
/// daemon has met the write: the page stays in the cache without it. So what was read since pages were dropped
/// is dropped again before a write of it is answered. Of one file the kernel has one such write under way.
///
/// A value behind the lock of an `InodeState`. Ranges are of bytes, about as exact as pages.
struct PageDoubt: Equatable {
    private static let maximumRanges = 16
    static let pageBytes: UInt64 = 4_096
    /// When the kernel drops pages by itself, it does so within this time of the answer, as good as surely.
    private static let kernelMilliseconds = 250

    /// How often the kernel was to be told, and how often that is queued.
    private(set) var announced: UInt64 = 0
    private(set) var told: UInt64 = 0

    private var kernelDropsUntil: Deadline?
    private var dropped: [Range<UInt64>] = []
    private var read: [Range<UInt64>] = []

    /// The kernel is about to be told to drop pages.
    mutating func noteDrop(_ range: Range<UInt64>) {
        announced &+= 1
        read = read.flatMap { Self.subtract(range, from: $0) }
        Self.add(range, to: &dropped)
    }

    /// The kernel is about to be given an answer that makes it drop pages by itself.
    mutating func noteDropByKernel(_ range: Range<UInt64>) {
        // Not sure: it ignores an answer that a write of its own has overtaken.
        Self.add(range, to: &dropped)
        kernelDropsUntil = .after(milliseconds: Self.kernelMilliseconds)
    }

    /// Nothing that was announced is still to come.
    var isIdle: Bool { announced == told && kernelDropsUntil?.hasPassed ?? true }

    mutating func noteTold() { told = min(told &+ 1, announced) }

    /// A read that is about to be answered; the kernel keeps whole pages of it.
    mutating func noteRead(_ range: Range<UInt64>) {
        for part in dropped {
            let common = part.clamped(to: range)
            if !common.isEmpty { Self.add(common, to: &read) }
        }
    }

    /// What of a write, which reads cannot overtake any more, may be older in the kernel. Reads up to now do
    /// no harm to the writes behind it.
    mutating func take(_ written: Range<UInt64>) -> Range<UInt64>? {
        defer { read = [] }
        let end = written.upperBound.addingReportingOverflow(Self.pageBytes - 1)
        let pages =
            written.lowerBound
            & ~(Self.pageBytes - 1)..<(end.overflow
            ? .max : end.partialValue & ~(Self.pageBytes - 1))
        let parts = read.map { $0.clamped(to: pages) }.filter { !$0.isEmpty }
        guard let first = parts.map(\.lowerBound).min(), let last = parts.map(\.upperBound).max()
        else { return nil }
        return first..<last
    }

    private static func subtract(
        _ hole: Range<UInt64>, from range: Range<UInt64>
    ) -> [Range<UInt64>] {
        guard hole.overlaps(range) else { return [range] }
        return [
            range.lowerBound..<max(range.lowerBound, hole.lowerBound),
            min(range.upperBound, hole.upperBound)..<range.upperBound,
        ].filter { !$0.isEmpty }
    }

    /// Beyond so many, ranges are joined with what is between them.
    private static func add(_ range: Range<UInt64>, to ranges: inout [Range<UInt64>]) {
        var joined = range
        ranges.removeAll { other in
            guard other.lowerBound <= joined.upperBound, joined.lowerBound <= other.upperBound
            else { return false }
            joined =
                min(joined.lowerBound, other.lowerBound)..<max(joined.upperBound, other.upperBound)
            return true
        }
        ranges.append(joined)
        guard ranges.count > maximumRanges else { return }
        let first = ranges.map(\.lowerBound).min() ?? 0
        let last = ranges.map(\.upperBound).max() ?? 0
        ranges = [first..<last]
    }
}
