import KeyValue

/// All keys of a view as they were at one moment, by directory, in a few large pieces of memory, so that a
/// directory is listed without going through all keys again.
///
/// Each directory is a chain of records: of the keys that show in it, and of the directories in it. A record
/// is where in `text` its key, or the prefix of its directory, stands.
struct KeyTree: Sendable {
    private struct Record {
        var start: UInt32
        /// Twice the bytes, and one more for a directory.
        var length: UInt32
        /// The next of the chain, by its index and one; 0 at the end.
        var next: UInt32

        var isDirectory: Bool { length & 1 == 1 }
        var range: Range<Int> { Int(start)..<(Int(start) + Int(length >> 1)) }
    }

    /// How far a chain was read.
    struct Position: Equatable {
        fileprivate var next: UInt32
    }

    private var text = Bytes()
    private var records: [Record] = []
    /// The first record of each directory, by the fingerprint of its prefix.
    private var heads: [UInt64: UInt32] = [:]
    private let naming: KeyspaceNaming
    private let limitBytes: Int
    /// Not all keys found room: the others are of no use.
    private(set) var isOverfull = false

    init(naming: KeyspaceNaming, limitBytes: Int) {
        self.naming = naming
        // Positions in `text` have to fit.
        self.limitBytes = min(limitBytes, Int(Int32.max))
    }

    /// About what it takes; tables are half empty at the worst.
    var byteCount: Int {
        text.count + records.count * MemoryLayout<Record>.stride + heads.count * 32
    }

    /// A key that is there. One that is added twice is there twice.
    mutating func add(_ key: Bytes) {
        guard !isOverfull else { return }
        guard byteCount + key.count < limitBytes else {
            isOverfull = true
            (text, records, heads) = ([], [], [:])
            return
        }
        let start = text.count
        text += key
        var above = Fingerprint.of(naming.rootPrefix)
        naming.forEachDirectory(of: key) { number, end in
            if heads[number] == nil {
                heads[number] = 0
                append(start..<(start + end), isDirectory: true, to: above)
            }
            above = number
        }
        append(start..<(start + key.count), isDirectory: false, to: above)
    }

    private mutating func append(_ range: Range<Int>, isDirectory: Bool, to directory: UInt64) {
        records.append(
            Record(
                start: UInt32(range.lowerBound),
                length: UInt32(range.count) << 1 | (isDirectory ? 1 : 0),
                next: heads[directory] ?? 0))
        heads[directory] = UInt32(records.count)
    }

    // MARK: Reading

    struct Page {
        /// Keys that show in the directory by themselves.
        var keys: [Bytes] = []
        /// Prefixes of the directories in it.
        var directories: [Bytes] = []
        /// `nil` at the end.
        var next: Position?
    }

    func beginning(of prefix: Bytes) -> Position {
        Position(next: heads[Fingerprint.of(prefix)] ?? 0)
    }

    /// Up to `count` of what is in the directory of `prefix`.
    func page(of prefix: Bytes, from position: Position, count: Int) -> Page {
        var page = Page()
        var next = position.next
        for _ in 0..<count {
            guard next != 0 else { return page }
            let record = records[Int(next) - 1]
            next = record.next
            let found = Bytes(text[record.range])
            // Of another directory with the same fingerprint.
            guard found.starts(with: prefix) else { continue }
            if record.isDirectory {
                page.directories.append(found)
            } else {
                page.keys.append(found)
            }
        }
        page.next = next == 0 ? nil : Position(next: next)
        return page
    }

    /// Any key below `prefix`, however deep, that is none of `changed`.
    func firstKey(below prefix: Bytes, without changed: Set<Bytes>) -> Bytes? {
        var open = [beginning(of: prefix).next]
        while let next = open.popLast() {
            guard next != 0 else { continue }
            let record = records[Int(next) - 1]
            open.append(record.next)
            let found = Bytes(text[record.range])
            guard found.starts(with: prefix) else { continue }
            if record.isDirectory {
                open.append(beginning(of: found).next)
            } else if !changed.contains(found) {
                return found
            }
        }
        return nil
    }
}
