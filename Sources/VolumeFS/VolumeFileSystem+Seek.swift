import Cache
public import FileSystem
public import Primitives
import VolumeStore

// SEEK_DATA and SEEK_HOLE of lseek(2). A block is data when it is stored, or dirty here; within such blocks a
// page of zeros is a hole, as far as it is worth looking.
extension VolumeFileSystem {
    public func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset {
        let state = try files.item(handle).state
        try refresh(state)
        return try stripes.withShared(state.id) { () throws(Errno) in
            // Before the store is asked: a block that is flushed meanwhile is found by one of the two.
            let dirty = cache.dirtyBlockIndexes(of: state.id)
            let record = state.record
            guard offset.bytes < record.size else { throw .noSuchDevice }
            switch whence {
            case .data: return try data(of: record, from: offset, dirty: dirty)
            case .hole: return try hole(of: record, from: offset, dirty: dirty)
            }
        }
    }

    /// How far one call looks for pages of zeros: what a program that asks is about to read anyway.
    /// Behind that, data and holes are whole blocks.
    static let mostBytesLookedAt = 4 << 20
    /// The same for blocks of zeros, each of which costs a trip or two.
    private static let mostBlocksLookedAt = 32
    /// How much of it is fetched in one trip.
    private static let bytesPerLook = 1 << 20

    /// ENXIO when only holes follow.
    private func data(
        of record: InodeRecord, from offset: FileOffset, dirty: [UInt64]
    ) throws(Errno) -> FileOffset {
        let end = blockSize.blockCount(forSize: record.size)
        var start = offset.bytes
        var looks = Self.mostBlocksLookedAt
        while start < record.size {
            let first = blockSize.block(containing: FileOffset(start)).rawValue
            let found = try firstData(of: record, in: first..<end, dirty: dirty)
            guard let found else { throw .noSuchDevice }
            let blockStart = found * UInt64(blockSize.bytes)
            start = max(start, blockStart)
            guard looks > 0 else { return FileOffset(start) }
            looks -= 1
            let blockEnd = min(record.size, blockStart + UInt64(blockSize.bytes))
            if let page = try firstPage(of: record, in: start..<blockEnd, isZero: false) {
                return FileOffset(max(start, page))
            }
            start = blockEnd
        }
        throw .noSuchDevice
    }

    /// The end of a file counts as a hole.
    private func hole(
        of record: InodeRecord, from offset: FileOffset, dirty: [UInt64]
    ) throws(Errno) -> FileOffset {
        let first = blockSize.block(containing: offset).rawValue
        let end = blockSize.blockCount(forSize: record.size)
        let found = try firstHole(of: record, in: first..<end, dirty: dirty)
        let dataEnd = found.map { min(record.size, $0 * UInt64(blockSize.bytes)) } ?? record.size
        guard offset.bytes < dataEnd else { return offset }
        let lookEnd = min(dataEnd, offset.bytes + UInt64(Self.mostBytesLookedAt))
        var start = offset.bytes
        while start < lookEnd {
            let part = start..<min(lookEnd, start + UInt64(Self.bytesPerLook))
            if let page = try firstPage(of: record, in: part, isZero: true) {
                return FileOffset(max(start, page))
            }
            start = part.upperBound
        }
        return FileOffset(dataEnd)
    }

    /// Where the first page begins, of those that `range` touches, that is all zeros or is not. The last page
    /// of a file ends with it. The caller holds the inode's stripe.
    private func firstPage(
        of record: InodeRecord, in range: Range<UInt64>, isZero: Bool
    ) throws(Errno) -> UInt64? {
        let pages = ZeroPages.pages(touching: range, fileSize: record.size)
        let plan = RequestPlan(
            offset: FileOffset(pages.lowerBound), count: pages.count, blockSize: blockSize)
        let pieces = plan.map {
            BlockPiece(
                address: BlockAddress(data: record.data, index: $0.index), range: $0.range)
        }
        let pins = try cache.pinLoading(pieces, ahead: [])
        defer { for pin in pins { cache.unpin(pin) } }
        for (pin, piece) in zip(pins, pieces) {
            if let page = ZeroPages.first(in: pin.bytes, piece.range, isZero: isZero) {
                return piece.address.index.rawValue * UInt64(blockSize.bytes) + UInt64(page)
            }
        }
        return nil
    }

    /// `dirty` is ascending.
    private func firstData(
        of record: InodeRecord, in range: Range<UInt64>, dirty: [UInt64]
    ) throws(Errno) -> UInt64? {
        let firstDirty = dirty.first { range.contains($0) }
        if firstDirty == range.lowerBound || record.storedBlocks >= range.upperBound {
            return range.lowerBound
        }
        let stored = try store.firstBlock(
            of: record, in: range.lowerBound..<(firstDirty ?? range.upperBound), isStored: true)
        return stored ?? firstDirty
    }

    private func firstHole(
        of record: InodeRecord, in range: Range<UInt64>, dirty: [UInt64]
    ) throws(Errno) -> UInt64? {
        if record.storedBlocks >= range.upperBound { return nil }
        var next = range.lowerBound
        for block in dirty where range.contains(block) {
            if next < block,
                let hole = try store.firstBlock(of: record, in: next..<block, isStored: false)
            {
                return hole
            }
            next = block + 1
        }
        guard next < range.upperBound else { return nil }
        return try store.firstBlock(of: record, in: next..<range.upperBound, isStored: false)
    }
}
