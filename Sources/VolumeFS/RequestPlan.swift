import Cache
import Primitives

/// The blocks that a request for `count` bytes from `offset` touches, in order.
///
/// A pure function of three numbers, walked without allocation. `offset + count` must not exceed 2^63 − 1.
struct RequestPlan: Sequence, IteratorProtocol {
    struct Piece: Equatable {
        let index: BlockIndex
        /// Bytes within the block.
        let range: Range<Int>
        /// Where the piece begins in the request.
        let requestOffset: Int
    }

    private let blockSize: BlockSize
    private let offset: FileOffset
    private let count: Int
    private var done = 0

    init(offset: FileOffset, count: Int, blockSize: BlockSize) {
        self.offset = offset
        self.count = count
        self.blockSize = blockSize
    }

    mutating func next() -> Piece? {
        guard done < count else { return nil }
        let position = FileOffset(offset.bytes + UInt64(done))
        let start = blockSize.position(of: position)
        let length = Swift.min(blockSize.bytes - start, count - done)
        defer { done += length }
        return Piece(
            index: blockSize.block(containing: position), range: start..<start + length,
            requestOffset: done)
    }

    /// How many pieces there are.
    var pieceCount: Int {
        guard count > 0 else { return 0 }
        let first = blockSize.block(containing: offset).rawValue
        let last = blockSize.block(containing: FileOffset(offset.bytes + UInt64(count) - 1))
            .rawValue
        return Int(last - first) + 1
    }
}
