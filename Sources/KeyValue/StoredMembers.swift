/// An ordered set of a `MemoryStore`. A removal leaves a stale entry in the ordered list, which is
/// swept once half of the list is stale.
final class StoredMembers {
    private struct Entry {
        let score: Int64
        let name: Bytes
        let serial: UInt64

        func precedes(_ other: Entry) -> Bool {
            score == other.score
                ? name.lexicographicallyPrecedes(other.name) : score < other.score
        }
    }

    private static let smallestSwept = 32
    private static let memberOverheadBytes = 40

    /// Ascending by score, then by name, as Redis orders them.
    private var entries: [Entry] = []
    private var current: [Bytes: (score: Int64, serial: UInt64)] = [:]
    private var nextSerial: UInt64 = 1
    private(set) var byteCount = 0

    var isEmpty: Bool { current.isEmpty }

    func add(_ name: Bytes, score: Int64) {
        if let known = current[name] {
            if known.score == score { return }
        } else {
            byteCount += name.count + Self.memberOverheadBytes
        }
        let entry = Entry(score: score, name: name, serial: nextSerial)
        nextSerial += 1
        current[name] = (score, entry.serial)
        var low = 0
        var high = entries.count
        // Most scores are instants, and new ones come last.
        if let last = entries.last, !entry.precedes(last) { low = high }
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].precedes(entry) { low = middle + 1 } else { high = middle }
        }
        entries.insert(entry, at: low)
        sweepIfStale()
    }

    func remove(_ name: Bytes) {
        guard current.removeValue(forKey: name) != nil else { return }
        byteCount -= name.count + Self.memberOverheadBytes
        sweepIfStale()
    }

    /// Lowest first, at most `limit`.
    func members(upTo maximum: Int64, limit: Int) -> [Member] {
        var result: [Member] = []
        for entry in entries {
            if entry.score > maximum || result.count >= limit { break }
            guard isCurrent(entry) else { continue }
            result.append(Member(entry.name, score: entry.score))
        }
        return result
    }

    private func isCurrent(_ entry: Entry) -> Bool { current[entry.name]?.serial == entry.serial }

    private func sweepIfStale() {
        guard entries.count >= Self.smallestSwept, current.count < entries.count / 2 else { return }
        entries.removeAll { !isCurrent($0) }
    }
}
