import Primitives

/// How a range of bytes is copied from one file to another. Pure.
///
/// Where both ends have the same position in their blocks, whole blocks are copied inside the store;
/// what lies before and behind them, or everything else, goes through this mount's cache.
struct CopyPlan: Equatable {
    /// Bytes before the first whole block.
    let head: UInt64
    /// Whole blocks, by their index at the source and at the target.
    let blocks: Range<UInt64>
    let firstTarget: UInt64
    /// Bytes behind the last whole block.
    let tail: UInt64

    /// At most so many blocks a call, so that it ends soon: a caller asks again for the rest.
    static let mostBlocks: UInt64 = 1_024
    /// At most so many bytes through the cache, for the same reason.
    static let mostCopiedBytes: UInt64 = 8 << 20

    /// `takesLastBlock`: the source ends with the range and the target with its copy, so that the last
    /// block is copied whole although it is not full.
    init(
        from: UInt64, to: UInt64, count: UInt64, takesLastBlock: Bool, blockSize: BlockSize
    ) {
        let size = UInt64(blockSize.bytes)
        guard from % size == to % size else {
            head = min(count, Self.mostCopiedBytes)
            blocks = 0..<0
            firstTarget = 0
            tail = 0
            return
        }
        let toBoundary = from.isMultiple(of: size) ? 0 : size - from % size
        head = min(count, toBoundary)
        let rest = count - head
        let whole = takesLastBlock ? blockSize.blockCount(forSize: rest) : rest / size
        let taken = min(whole, Self.mostBlocks)
        let first = (from + head) / size
        blocks = first..<first + taken
        firstTarget = (to + head) / size
        tail = taken == whole ? rest - min(rest, whole * size) : 0
    }

    /// How many bytes the whole blocks hold of a copy of `count` bytes.
    func blockBytes(of count: UInt64, blockSize: BlockSize) -> UInt64 {
        min(UInt64(blocks.count) * UInt64(blockSize.bytes), count - head)
    }
}
