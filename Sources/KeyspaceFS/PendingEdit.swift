import KeyValue

/// The contents of a value while it is edited: what is stored, and what was changed and is not stored yet.
/// It performs no I/O.
///
/// Stored bytes count up to `keptLength`; what lies between them and `size` and in no piece is zero.
struct PendingEdit: Equatable, Sendable {
    struct Piece: Equatable, Sendable {
        var offset: Int
        var bytes: Bytes
        var end: Int { offset + bytes.count }
    }

    /// One command of a flush.
    enum Step: Equatable, Sendable {
        /// The value becomes this, whatever it was; its expiry stays.
        case replace(Bytes)
        /// It is cut to this length, its expiry stays.
        case cut(to: Int)
        case setRange(offset: Int, Bytes)
        case append(Bytes)
    }

    private(set) var storedLength: Int
    private(set) var keptLength: Int
    private(set) var size: Int
    /// Ascending, without overlap, none touching the next.
    private(set) var pieces: [Piece] = []
    private(set) var isDirty = false

    init(storedLength: Int) {
        self.storedLength = storedLength
        keptLength = storedLength
        size = storedLength
    }

    /// Bytes of memory in pieces.
    var pendingBytes: Int { pieces.reduce(0) { $0 + $1.bytes.count } }

    /// Whether nothing of what is stored counts any more.
    var isRewritten: Bool { keptLength == 0 }

    mutating func write(_ bytes: some Collection<UInt8>, at offset: Int) {
        guard !bytes.isEmpty else { return }
        isDirty = true
        let end = offset + bytes.count
        size = max(size, end)
        if let last = pieces.indices.last, pieces[last].end == offset {
            pieces[last].bytes += bytes
            return
        }
        var merged = Piece(offset: offset, bytes: Bytes(bytes))
        let first = pieces.firstIndex { $0.end >= offset } ?? pieces.count
        let last = pieces[first...].firstIndex { $0.offset > end } ?? pieces.count
        let touched = pieces[first..<last]
        if let before = touched.first, before.offset < offset {
            merged = Piece(
                offset: before.offset,
                bytes: before.bytes.prefix(offset - before.offset) + merged.bytes)
        }
        if let after = touched.last, after.end > end {
            merged.bytes += after.bytes.suffix(after.end - end)
        }
        pieces.replaceSubrange(first..<last, with: [merged])
    }

    mutating func truncate(to length: Int) {
        guard length != size else { return }
        isDirty = true
        size = length
        keptLength = min(keptLength, length)
        pieces.removeAll { $0.offset >= length }
        if let last = pieces.indices.last, pieces[last].end > length {
            pieces[last].bytes.removeLast(pieces[last].end - length)
        }
    }

    /// The stored bytes that a read of this range needs; empty when it needs none.
    func storedRange(for range: Range<Int>) -> Range<Int> {
        let end = min(range.upperBound, keptLength)
        guard range.lowerBound < end else { return 0..<0 }
        if pieces.contains(where: { $0.offset <= range.lowerBound && $0.end >= end }) {
            return 0..<0
        }
        return range.lowerBound..<end
    }

    /// The contents of a range, cut at the end of the file; `stored` are the bytes of `storedRange`.
    func contents(of range: Range<Int>, stored: Bytes) -> Bytes {
        let range = range.clamped(to: 0..<size)
        guard !range.isEmpty else { return [] }
        var result = Bytes(stored.prefix(range.count))
        result += Bytes(repeating: 0, count: range.count - result.count)
        for piece in pieces where piece.end > range.lowerBound && piece.offset < range.upperBound {
            let part = range.clamped(to: piece.offset..<piece.end)
            result.replaceSubrange(
                (part.lowerBound - range.lowerBound)..<(part.upperBound - range.lowerBound),
                with: piece.bytes[
                    (part.lowerBound - piece.offset)..<(part.upperBound - piece.offset)])
        }
        return result
    }

    /// What stores everything, in order.
    func steps() -> [Step] {
        guard isDirty else { return [] }
        var steps: [Step] = []
        var length = keptLength
        var rest = pieces[...]
        if isRewritten {
            // From the first piece on, so that a small file is stored whole by one command.
            let first = rest.first.flatMap { $0.offset == 0 ? $0 : nil }
            if first != nil { rest = rest.dropFirst() }
            steps.append(.replace(first?.bytes ?? []))
            length = first?.end ?? 0
        } else if keptLength < storedLength {
            steps.append(.cut(to: keptLength))
        }
        for piece in rest {
            for start in stride(from: 0, to: piece.bytes.count, by: Self.stepBytes) {
                let bytes = Bytes(
                    piece.bytes[start..<min(start + Self.stepBytes, piece.bytes.count)])
                let offset = piece.offset + start
                steps.append(
                    offset == length ? .append(bytes) : .setRange(offset: offset, bytes))
                length = max(length, offset + bytes.count)
            }
        }
        if length < size { steps.append(.setRange(offset: size - 1, [0])) }
        return steps
    }

    /// A command moves at most this much.
    static let stepBytes = 1 << 20

    /// Everything is stored.
    mutating func didStore() {
        storedLength = size
        keptLength = size
        pieces = []
        isDirty = false
    }

    /// Others have changed what is stored, and what was written here shall go on top of it.
    mutating func rebase(storedLength length: Int) {
        let end = pieces.last?.end ?? 0
        let keepsAll = keptLength == storedLength
        storedLength = length
        keptLength = keepsAll ? length : min(keptLength, length)
        size = keepsAll ? max(length, end) : max(size, end)
    }

    /// These are the contents, whatever is stored.
    mutating func replaceAll(with contents: Bytes) {
        keptLength = 0
        size = contents.count
        pieces = contents.isEmpty ? [] : [Piece(offset: 0, bytes: contents)]
        isDirty = true
    }
}
