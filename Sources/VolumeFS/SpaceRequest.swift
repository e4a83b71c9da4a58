import FileSystem
import Primitives

/// What fallocate(2) asks for, decoded. Pure.
struct SpaceRequest: Equatable {
    enum Action: Equatable {
        /// Room for the range; without `keepsSize` the file reaches at least to its end.
        case reserve(keepsSize: Bool)
        /// The range reads as zeros and takes no space; the size stays.
        case punch
        /// The range reads as zeros; without `keepsSize` the file reaches at least to its end.
        case zero(keepsSize: Bool)
    }

    let action: Action
    /// Not empty, and within what a file can have.
    let range: Range<UInt64>

    private static let keepSize: Int32 = 1
    private static let punchHole: Int32 = 2
    private static let zeroRange: Int32 = 16

    /// EOPNOTSUPP for a mode that is none of these (linux/falloc.h: collapsing, inserting, unsharing; a
    /// hole without KEEP_SIZE), EINVAL for an empty range, EFBIG for one behind the largest file.
    init(mode: Int32, offset: FileOffset, length: UInt64) throws(Errno) {
        switch mode {
        case 0: action = .reserve(keepsSize: false)
        case Self.keepSize: action = .reserve(keepsSize: true)
        case Self.punchHole | Self.keepSize: action = .punch
        case Self.zeroRange: action = .zero(keepsSize: false)
        case Self.zeroRange | Self.keepSize: action = .zero(keepsSize: true)
        default: throw .notSupported
        }
        guard length > 0 else { throw .invalid }
        guard offset <= .maximum, length <= FileOffset.maximum.bytes - offset.bytes else {
            throw .fileTooLarge
        }
        range = offset.bytes..<offset.bytes + length
    }

    /// The size that the file has at least afterwards.
    var leastSize: UInt64 {
        switch action {
        case .reserve(keepsSize: false), .zero(keepsSize: false): range.upperBound
        case .reserve(keepsSize: true), .zero(keepsSize: true), .punch: 0
        }
    }

    var clears: Bool {
        switch action {
        case .reserve: false
        case .punch, .zero: true
        }
    }
}

/// A range of a file that becomes zeros: whole blocks, which are dropped, and parts of blocks. Pure.
struct ClearingPlan: Equatable {
    struct Edge: Equatable {
        let index: BlockIndex
        /// Bytes within the block.
        let range: Range<Int>
    }

    /// Blocks that lie within the range (or, with `coversEnd`, whose rest lies behind the file's end).
    let blocks: Range<UInt64>
    /// At most two.
    let edges: [Edge]

    /// `coversEnd`: nobody can be storing behind the end of the file, so that its last block may be dropped
    /// when all of it that belongs to the file is cleared.
    init(
        _ range: Range<UInt64>, fileSize: UInt64, coversEnd: Bool, blockSize: BlockSize
    ) {
        let size = UInt64(blockSize.bytes)
        let end = min(range.upperBound, fileSize)
        guard range.lowerBound < end else {
            blocks = 0..<0
            edges = []
            return
        }
        let isToTheEnd = coversEnd && end == fileSize
        let firstWhole = blockSize.blockCount(forSize: range.lowerBound)
        let behindWhole = isToTheEnd ? blockSize.blockCount(forSize: end) : end / size
        guard firstWhole <= behindWhole else {
            // Within one block.
            let start = behindWhole * size
            blocks = 0..<0
            edges = [
                Edge(
                    index: BlockIndex(behindWhole),
                    range: Int(range.lowerBound - start)..<Int(end - start))
            ]
            return
        }
        var edges: [Edge] = []
        if let before = firstWhole.subtractingOne, before * size < range.lowerBound {
            edges.append(
                Edge(
                    index: BlockIndex(before),
                    range: Int(
                        range.lowerBound - before * size)..<Int(
                            min(end, firstWhole * size) - before * size)))
        }
        if behindWhole * size < end {
            edges.append(
                Edge(index: BlockIndex(behindWhole), range: 0..<Int(end - behindWhole * size)))
        }
        self.edges = edges
        blocks = firstWhole..<behindWhole
    }
}

extension UInt64 {
    /// `nil` for 0.
    fileprivate var subtractingOne: UInt64? { self == 0 ? nil : self - 1 }
}
