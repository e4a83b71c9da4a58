/// A set of byte positions of one block, kept as ascending ranges that neither overlap nor touch.
///
/// One range, the common case, stands in the value itself: asking it neither allocates nor counts
/// references. Positions fit in 31 bits. There are at most half as many ranges as the block has bytes;
/// nothing merges ranges over a gap, because the bytes between them may belong to another mount.
struct ByteRanges: Equatable, Sendable {
    private struct Bounds: Equatable, Sendable {
        var lower: Int32
        var upper: Int32

        init(_ lower: Int32, _ upper: Int32) {
            self.lower = lower
            self.upper = upper
        }

        var range: Range<Int> { Int(lower)..<Int(upper) }
    }

    /// The range, when there is at most one; empty when there is none.
    private var only = Bounds(0, 0)
    /// All ranges, when there are two or more; otherwise empty.
    private var many: [Bounds] = []

    init() {}

    init(_ range: Range<Int>) { insert(range) }

    var isEmpty: Bool { many.isEmpty && only.lower == only.upper }

    /// How many ranges there are.
    var count: Int { many.isEmpty ? (only.lower == only.upper ? 0 : 1) : many.count }

    /// How many bytes they cover.
    var byteCount: Int {
        many.isEmpty
            ? only.range.count
            : many.reduce(0) { sum, bounds in sum + bounds.range.count }
    }

    var ranges: [Range<Int>] {
        many.isEmpty ? (isEmpty ? [] : [only.range]) : many.map(\.range)
    }

    /// From the first byte to the last; empty when there is none.
    var span: Range<Int> {
        guard let first = many.first, let last = many.last else { return only.range }
        return Int(first.lower)..<Int(last.upper)
    }

    /// Whether every byte of `range` is in the set; true for an empty range.
    func contains(_ range: Range<Int>) -> Bool {
        if range.isEmpty { return true }
        if many.isEmpty {
            return range.lowerBound >= Int(only.lower) && range.upperBound <= Int(only.upper)
        }
        let place = firstEnding(after: Int32(range.lowerBound))
        guard place < many.count else { return false }
        return many[place].lower <= range.lowerBound && many[place].upper >= range.upperBound
    }

    /// Adds the bytes of `range`; returns how many were not there before.
    @discardableResult
    mutating func insert(_ range: Range<Int>) -> Int {
        if range.isEmpty { return 0 }
        precondition(
            range.lowerBound >= 0 && range.upperBound <= Int(Int32.max),
            "a position in a block fits in 31 bits")
        let new = Bounds(Int32(range.lowerBound), Int32(range.upperBound))
        if many.isEmpty {
            if only.lower == only.upper {
                only = new
                return range.count
            }
            if new.lower <= only.upper, new.upper >= only.lower {
                let before = only.range.count
                only = Bounds(min(only.lower, new.lower), max(only.upper, new.upper))
                return only.range.count - before
            }
            many = new.lower < only.lower ? [new, only] : [only, new]
            return range.count
        }
        return insertAmongMany(new)
    }

    private mutating func insertAmongMany(_ new: Bounds) -> Int {
        // Ranges that overlap or touch the new one become one with it.
        let first = firstEnding(notBefore: new.lower)
        var last = first
        var merged = new
        var covered = 0
        while last < many.count, many[last].lower <= new.upper {
            covered += many[last].range.count
            merged = Bounds(
                min(merged.lower, many[last].lower), max(merged.upper, many[last].upper))
            last += 1
        }
        many.replaceSubrange(first..<last, with: CollectionOfOne(merged))
        collapse()
        return merged.range.count - covered
    }

    /// Takes the bytes of `range` out; returns how many were there.
    @discardableResult
    mutating func remove(_ range: Range<Int>) -> Int {
        if range.isEmpty || isEmpty { return 0 }
        let lower = Int32(clamping: range.lowerBound)
        let upper = Int32(clamping: range.upperBound)
        if many.isEmpty {
            guard lower < only.upper, upper > only.lower else { return 0 }
            many = [only]
        }
        let first = firstEnding(after: lower)
        var last = first
        var rest: [Bounds] = []
        var removed = 0
        while last < many.count, many[last].lower < upper {
            let bounds = many[last]
            removed += Int(min(bounds.upper, upper) - max(bounds.lower, lower))
            if bounds.lower < lower { rest.append(Bounds(bounds.lower, lower)) }
            if bounds.upper > upper { rest.append(Bounds(upper, bounds.upper)) }
            last += 1
        }
        many.replaceSubrange(first..<last, with: rest)
        collapse()
        return removed
    }

    /// Adds the bytes of another set; returns how many were not there before.
    @discardableResult
    mutating func formUnion(_ other: ByteRanges) -> Int {
        if other.many.isEmpty { return insert(other.only.range) }
        return other.many.reduce(0) { added, bounds in added + insert(bounds.range) }
    }

    mutating func removeAll() { self = ByteRanges() }

    /// Calls `body` with each range, ascending.
    func forEach(_ body: (Range<Int>) -> Void) {
        if many.isEmpty {
            if !isEmpty { body(only.range) }
        } else {
            for bounds in many { body(bounds.range) }
        }
    }

    /// Calls `body` with each part of `range` that is not in the set, ascending.
    func forEachGap(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        var position = range.lowerBound
        forEach { covered in
            if covered.lowerBound > position, position < range.upperBound {
                body(position..<min(covered.lowerBound, range.upperBound))
            }
            position = max(position, covered.upperBound)
        }
        if position < range.upperBound { body(position..<range.upperBound) }
    }

    /// Keeps the rule that `many` holds either nothing or at least two ranges.
    private mutating func collapse() {
        guard many.count < 2 else { return }
        only = many.first ?? Bounds(0, 0)
        many = []
    }

    /// The place in `many` of the first range whose end is greater than `position`.
    private func firstEnding(after position: Int32) -> Int {
        firstPlace { $0.upper > position }
    }

    /// The place in `many` of the first range whose end is `position` or greater.
    private func firstEnding(notBefore position: Int32) -> Int {
        firstPlace { $0.upper >= position }
    }

    private func firstPlace(where matches: (Bounds) -> Bool) -> Int {
        var low = 0
        var high = many.count
        while low < high {
            let middle = (low + high) / 2
            if matches(many[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
