import KeyValue
import Primitives

/// A run of blocks of a sparse file. Its hash of chunks has a field for each that may hold some
/// (docs/FORMAT.md, `a<data>`).
struct Chunk: Hashable, Comparable, Sendable {
    static let blockCount: UInt64 = 4_096

    let number: UInt64

    /// The chunk that holds a block.
    init(of block: UInt64) { number = block / Self.blockCount }

    /// `nil` for what names no chunk that a file can have.
    init?(field: Bytes) {
        guard let number = UInt64(decimal: field), number <= RecordLimits.blocks / Self.blockCount
        else { return nil }
        self.number = number
    }

    var field: Bytes { Bytes(decimal: number) }

    /// As it is registered.
    var pair: Pair { Pair(field, Field.one) }

    var blocks: Range<UInt64> {
        let start = number * Self.blockCount
        return start..<start + Self.blockCount
    }

    static func < (one: Chunk, other: Chunk) -> Bool { one.number < other.number }
}
