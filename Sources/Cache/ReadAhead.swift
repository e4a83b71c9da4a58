public import Primitives

/// Decides for one open file which blocks to fetch before they are asked for.
///
/// Sequential reads get a window that doubles from 2 blocks to 8 MiB; a seek starts it anew. Reads at a
/// constant distance (forward or backward, seen three times) get the blocks of the next one. Anything
/// else gets nothing. Requests of one reader may arrive a little out of order, as the kernel's own
/// readahead and several workers make them.
public struct ReadAhead: Sendable {
    public static let firstWindowBlocks: UInt64 = 2
    public static let windowLimitBytes = 8 * 1_048_576
    /// How far from the expected place, in requests, a read still counts as in sequence.
    static let reorderingLimit: UInt64 = 4
    /// So many equal distances in a row make a stride.
    static let strideConfirmations = 2

    private var hasRead = false
    private var lastOffset: UInt64 = 0
    /// The end of the furthest read of this run.
    private var furthest: UInt64 = 0
    /// Reads of this run in a row that did not get beyond `furthest`.
    private var readsBehind: UInt64 = 0
    /// 0 while nothing says that the access is sequential.
    private var windowBlocks: UInt64 = 0
    /// Blocks before this one were asked for already in this run.
    private var askedUntil: UInt64 = 0
    private var stride: Int64 = 0
    private var strideHits = 0

    public init() {}

    /// Takes note of a read and returns the indexes of blocks to fetch ahead, all of them behind the ones
    /// that the read itself touches (or, for a stride, away from them); `nil` when there is nothing to do.
    public mutating func decide(
        offset: FileOffset, count: Int, blockSize: BlockSize, fileSize: UInt64
    ) -> Range<UInt64>? {
        let start = offset.bytes
        guard count > 0, start < fileSize else { return nil }
        let end = start + min(UInt64(count), fileSize - start)
        let read = Read(start: start, end: end, blockSize: blockSize, fileSize: fileSize)
        noteDistance(to: start)
        defer {
            hasRead = true
            lastOffset = start
        }
        if isSequential(read) { return continueRun(read) }
        restart(at: read)
        return strideHits >= Self.strideConfirmations ? followStride(read) : nil
    }

    private mutating func noteDistance(to start: UInt64) {
        guard hasRead else { return }
        let distance = Int64(bitPattern: start &- lastOffset)
        strideHits = distance == stride ? strideHits + 1 : 1
        stride = distance
    }

    private struct Read {
        let start: UInt64
        let end: UInt64
        let blockSize: BlockSize
        let fileSize: UInt64

        var count: UInt64 { end - start }
        var firstBlock: UInt64 { start / UInt64(blockSize.bytes) }
        var endBlock: UInt64 { blockSize.blockCount(forSize: end) }
        var fileBlocks: UInt64 { blockSize.blockCount(forSize: fileSize) }
        var windowLimit: UInt64 {
            max(ReadAhead.firstWindowBlocks, UInt64(ReadAhead.windowLimitBytes / blockSize.bytes))
        }
    }

    private func isSequential(_ read: Read) -> Bool {
        // Whoever starts at the beginning most likely goes on.
        guard hasRead else { return read.start == 0 }
        let slack = Self.reorderingLimit * read.count
        guard read.start <= furthest &+ slack, read.end &+ slack >= furthest else { return false }
        if read.end > furthest { return true }
        let goesBackward = stride < 0 && strideHits >= Self.strideConfirmations
        return readsBehind < Self.reorderingLimit && !goesBackward
    }

    private mutating func continueRun(_ read: Read) -> Range<UInt64>? {
        if hasRead, read.end <= furthest {
            readsBehind += 1
            return nil
        }
        readsBehind = 0
        furthest = read.end
        if windowBlocks == 0 { windowBlocks = Self.firstWindowBlocks }
        let wanted = min(read.endBlock + windowBlocks, read.fileBlocks)
        let begin = max(read.endBlock, askedUntil)
        // Ask in halves of the window, so that one trip fetches several blocks.
        guard begin < wanted, wanted - begin >= (windowBlocks + 1) / 2 || wanted == read.fileBlocks
        else { return nil }
        askedUntil = wanted
        windowBlocks = min(windowBlocks * 2, read.windowLimit)
        return begin..<wanted
    }

    private func followStride(_ read: Read) -> Range<UInt64>? {
        let (next, overflow) = Int64(read.start).addingReportingOverflow(stride)
        guard !overflow, next >= 0, UInt64(next) < read.fileSize else { return nil }
        let nextEnd = min(UInt64(next) + read.count, read.fileSize)
        let first = read.blockSize.block(containing: FileOffset(UInt64(next))).rawValue
        let end = read.blockSize.blockCount(forSize: nextEnd)
        // The blocks that this read touches are fetched by itself.
        let lower = first >= read.firstBlock ? max(first, read.endBlock) : first
        let upper = first >= read.firstBlock ? end : min(end, read.firstBlock)
        guard lower < upper else { return nil }
        return lower..<min(upper, lower + read.windowLimit)
    }

    private mutating func restart(at read: Read) {
        furthest = read.end
        readsBehind = 0
        windowBlocks = 0
        askedUntil = 0
    }
}
