import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// Keys asked for in one trip.
    private static let existencePerTrip: UInt64 = 4_096

    /// Which blocks of a range are stored, for SEEK_DATA and SEEK_HOLE. The caller bounds the range.
    public func storedBlockIndexes(
        _ data: DataID, in range: Range<UInt64>
    ) throws(Errno) -> [Bool] {
        var result: [Bool] = []
        result.reserveCapacity(range.count)
        var next = range.lowerBound
        while next < range.upperBound {
            let end = min(range.upperBound, next + Self.existencePerTrip)
            result += try exist(
                (next..<end).map { BlockAddress(data: data, index: BlockIndex($0)) })
            next = end
        }
        return result
    }

    /// The first block of `range` that is stored, or with `isStored` false the first one that is not;
    /// `nil` when there is none. A trip for each 4,096 blocks looked at, and none for what was never
    /// allocated.
    public func firstBlock(
        of record: InodeRecord, in range: Range<UInt64>, isStored: Bool
    ) throws(Errno) -> UInt64? {
        var next = range.lowerBound
        // Most answers are near, so the first look is short.
        var windowLength: UInt64 = 64
        for part in try existingParts(refreshed(record), range) {
            if !isStored, part.lowerBound > next { return next }
            next = part.lowerBound
            while next < part.upperBound {
                let end = min(part.upperBound, next + windowLength)
                let found = try storedBlockIndexes(record.data, in: next..<end)
                if let index = found.firstIndex(of: isStored) { return next + UInt64(index) }
                next = end
                windowLength = Self.existencePerTrip
            }
        }
        return !isStored && next < range.upperBound ? next : nil
    }

    /// How many blocks of a range are stored. Of a range that is too long to be asked for, an upper
    /// bound.
    func countExisting(_ data: DataID, _ range: Range<UInt64>) throws(Errno) -> UInt64 {
        guard range.count <= Allocation.farBlocks else { return UInt64(range.count) }
        return UInt64(try storedBlockIndexes(data, in: range).count { $0 })
    }

    /// Drops whole blocks (PUNCH_HOLE): they read as zeros. Returns the record as it is then.
    ///
    /// ESTALE when the inode is gone or has other data.
    public func deallocate(
        _ record: InodeRecord, blocks: Range<UInt64>, time: Timestamp
    ) throws(Errno) -> InodeRecord {
        try awaitPermissionToWrite()
        let session = membership.key(schema)
        var after = refreshed(record)
        let range = blocks.clamped(to: 0..<after.allocatedBlocks)
        var dropped = 0
        for part in try existingParts(after, range) {
            let existing = try storedBlockIndexes(record.data, in: part)
            dropped += existing.count { $0 }
            let keys = zip(part, existing).filter { $0.1 }.map {
                schema.block(BlockAddress(data: record.data, index: BlockIndex($0.0)))
            }
            for start in stride(from: 0, to: keys.count, by: Reaping.keysPerTrip) {
                let some = Array(keys[start..<min(start + Reaping.keysPerTrip, keys.count)])
                try translated { () throws(StoreError) in
                    try store.drop(some, by: session)
                }
            }
        }
        let key = schema.inode(record.id)
        let outcome = try commit(
            [
                .fieldEquals(
                    key: key, field: Field.data, value: Bytes(decimal: record.data.rawValue))
            ],
            countStored(record.id, by: -dropped) + [
                .setFields(
                    key: key,
                    [
                        Pair(Field.modificationTime, Bytes(decimal: time.nanoseconds)),
                        Pair(Field.changeTime, Bytes(decimal: time.nanoseconds)),
                    ]),
                publish([.attributes(record.id), .data(record.id, record.data, blocks: blocks)]),
            ])
        guard case .committed = outcome else { throw .stale }
        after.storedBlocks -= min(after.storedBlocks, UInt64(dropped))
        after.modificationTime = time
        after.changeTime = time
        known.note(after)
        return after
    }

    /// The parts of `range` in which blocks may be stored, each short enough for one question.
    private func existingParts(
        _ record: InodeRecord, _ range: Range<UInt64>
    ) throws(Errno) -> [Range<UInt64>] {
        let dense = record.denseBlocks ?? record.allocatedBlocks
        var parts: [Range<UInt64>] = []
        func add(_ part: Range<UInt64>) {
            for start in stride(
                from: part.lowerBound, to: part.upperBound, by: Int(Self.existencePerTrip))
            {
                parts.append(start..<min(part.upperBound, start + Self.existencePerTrip))
            }
        }
        add(range.clamped(to: 0..<dense))
        guard record.denseBlocks != nil, range.upperBound > dense else { return parts }
        for chunk in try chunks(of: record.data) {
            add(
                chunk.blocks.clamped(to: range).clamped(to: dense..<record.allocatedBlocks))
        }
        return parts
    }

    /// The chunks of a sparse file that may hold blocks, ascending; empty for other files.
    func chunks(of data: DataID) throws(Errno) -> [Chunk] {
        let answers = try read([.allFields(key: schema.chunks(data))])
        guard case .pairs(let pairs) = answers[0] else { throw answerMismatch() }
        var chunks: [Chunk] = []
        for pair in pairs {
            guard let chunk = Chunk(field: pair.field) else {
                throw malformed(schema.chunks(data), "a chunk that is no number")
            }
            chunks.append(chunk)
        }
        return chunks.sorted()
    }
}
