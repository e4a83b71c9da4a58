import KeyValue

/// One entry of a listing.
struct ListedEntry: Equatable, Sendable {
    var name: Bytes
    var place: Place
    /// When somebody wanted to know.
    var facts: PlaceFacts?
}

/// The part of a listing that is in memory, and by which numbers its entries are known. It performs no I/O.
///
/// Entries are numbered as they come. SCAN may give a key twice, and many keys share a directory, so what was
/// shown is remembered as a fingerprint of its name, 8 bytes each.
struct ListingWindow: Sendable {
    private var entries: [ListedEntry] = []
    /// The number of the first entry in memory.
    private(set) var start = 0
    private var shown: FingerprintSet

    init(limit: Int) { shown = FingerprintSet(limit: limit) }

    /// The number that the next new entry gets.
    var end: Int { start + entries.count }

    /// Whether entries had to be shown without being remembered.
    var isOverfull: Bool { shown.isOverfull }

    /// Adds those that were not shown before; returns how many.
    @discardableResult
    mutating func add(_ new: [ListedEntry]) -> Int {
        let before = entries.count
        for entry in new where shown.insert(Fingerprint.of(entry.name)) { entries.append(entry) }
        return entries.count - before
    }

    /// The entry of a number; `nil` when it has not come yet.
    func entry(_ number: Int) -> ListedEntry? {
        precondition(number >= start, "an entry that was dropped")
        return number < end ? entries[number - start] : nil
    }

    /// Entries before this number are not asked for any more.
    mutating func drop(before number: Int) {
        let count = min(max(0, number - start), entries.count)
        guard count > 0 else { return }
        entries.removeFirst(count)
        start += count
    }
}
