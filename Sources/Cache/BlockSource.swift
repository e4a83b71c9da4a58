public import Primitives

/// Where blocks come from.
public protocol BlockSource: AnyObject, Sendable {
    /// Fills each request's memory whole (zeros behind what is stored) and says for each what was there,
    /// in one trip. Called without any lock of the cache, from any thread. After an error the memory's
    /// content is of no interest.
    func load(_ requests: [BlockRequest]) throws(Errno) -> [StoredForm]
}

/// A part of one block.
public struct BlockPiece: Hashable, Sendable {
    public var address: BlockAddress
    /// Bytes within the block.
    public var range: Range<Int>

    public init(address: BlockAddress, range: Range<Int>) {
        self.address = address
        self.range = range
    }
}

/// A block's memory, lent to a reader until `BlockCache.unpin`.
public struct PinnedBlock: @unchecked Sendable {
    /// The whole block's memory. Only the range that was asked for holds the block's bytes.
    // SAFETY: the pin keeps the slot from being reused. A write to the same bytes that runs beside the
    // reader may be seen in part, as in any file system; the inode's stripe prevents it where it matters.
    public let bytes: UnsafeRawBufferPointer
    let slot: BlockPool.Slot
    let shard: Int32
}

/// What a flush has to store of one block, lent by `takeDirty` until `finishFlush`.
public struct DirtyBlock: @unchecked Sendable {
    public let address: BlockAddress
    /// The dirty bytes: ascending, disjoint, not empty.
    public let ranges: [Range<Int>]
    /// Positions are those of the block. Readable at `ranges`; when `isWholeKnown`, at
    /// `0..<contentEnd`. Everything else must not be read.
    // SAFETY: the block's frozen slot, or a copy that `copy` keeps alive.
    public let memory: UnsafeRawBufferPointer
    /// `0..<contentEnd` holds this mount's true view of the block, and zeros follow.
    public let isWholeKnown: Bool
    /// Bytes from here on are zeros. Meaningful when `isWholeKnown`.
    public let contentEnd: Int
    /// What the store holds under the block's key, as far as this cache was told.
    public let form: StoredForm
    let owner: InodeID
    let copy: SideCopy?

    /// How many bytes are dirty.
    public var dirtyByteCount: Int { ranges.reduce(0) { $0 + $1.count } }

    /// The bytes of one of `ranges`, or of a part of it.
    public func bytes(of range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[range])
    }
}

/// A copy of a block's few dirty bytes, so that writers go on while the bytes are being stored.
final class SideCopy: @unchecked Sendable {
    /// Dirty ranges that lie within this many bytes are copied instead of freezing the block.
    static let spanLimit = 16 * 1_024

    // SAFETY: allocated in init, freed in deinit; written only in init.
    private let storage: UnsafeMutableRawBufferPointer
    private let lower: Int
    private let blockBytes: Int

    init(of block: UnsafeMutableRawBufferPointer, ranges: ByteRanges) {
        let span = ranges.span
        lower = span.lowerBound
        blockBytes = block.count
        storage = .allocate(byteCount: span.count, alignment: 16)
        let target = storage
        ranges.forEach { range in
            let place = range.lowerBound - span.lowerBound
            target[place..<place + range.count].copyBytes(from: block[range])
        }
    }

    deinit { storage.deallocate() }

    /// The copy at the positions of the block. Only the copied ranges are memory of ours.
    var memory: UnsafeRawBufferPointer {
        // SAFETY: plain address arithmetic (through the bit pattern, because the result may lie before the
        // allocation); nothing outside of the copied ranges may be read through it, as `DirtyBlock.memory`
        // says, and those lie within the allocation.
        let start = UnsafeRawPointer(
            bitPattern: UInt(bitPattern: storage.baseAddress) &- UInt(lower))
        return UnsafeRawBufferPointer(start: start, count: blockBytes)
    }
}
