import Cache
public import FileSystem
public import Primitives
import VolumeStore

// SEEK_DATA and SEEK_HOLE of lseek(2): a block is data when it is stored, or dirty here.
extension VolumeFileSystem {
    public func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset {
        let state = try files.item(handle).state
        try refresh(state)
        // Before the store is asked: a block that is flushed meanwhile is found by one of the two.
        let dirty = cache.dirtyBlockIndexes(of: state.id)
        let record = state.record
        guard offset.bytes < record.size else { throw .noSuchDevice }
        let start = blockSize.block(containing: offset).rawValue
        let end = blockSize.blockCount(forSize: record.size)
        let found: UInt64?
        if record.storedBlocks >= end {
            found = whence == .data ? start : nil
        } else {
            switch whence {
            case .data: found = try firstData(of: record, in: start..<end, dirty: dirty)
            case .hole: found = try firstHole(of: record, in: start..<end, dirty: dirty)
            }
        }
        switch (whence, found) {
        case (.data, nil): throw .noSuchDevice
        // The end of a file counts as a hole.
        case (.hole, nil): return FileOffset(record.size)
        case (_, let found?):
            return FileOffset(
                min(record.size, max(offset.bytes, found * UInt64(blockSize.bytes))))
        }
    }

    /// `dirty` is ascending.
    private func firstData(
        of record: InodeRecord, in range: Range<UInt64>, dirty: [UInt64]
    ) throws(Errno) -> UInt64? {
        let firstDirty = dirty.first { range.contains($0) }
        if firstDirty == range.lowerBound { return firstDirty }
        let stored = try store.firstBlock(
            of: record, in: range.lowerBound..<(firstDirty ?? range.upperBound), isStored: true)
        return stored ?? firstDirty
    }

    private func firstHole(
        of record: InodeRecord, in range: Range<UInt64>, dirty: [UInt64]
    ) throws(Errno) -> UInt64? {
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
