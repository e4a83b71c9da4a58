import FileSystem
import KeyValue
import Primitives

// The blocks of each file against its record.

extension VolumeCheck {
    /// Blocks that are looked for one by one to count them exactly.
    private static let maximumRecount: UInt64 = 1 << 20

    func judgeData(_ tables: CheckTables) throws(StoreError) {
        let owned = tables.data.filter { $0.value.owner != 0 }.sorted { $0.key < $1.key }
        var sparse: [UInt64: SparseFile] = [:]
        for start in stride(from: 0, to: owned.count, by: CheckReader.recordsPerTrip) {
            let part = owned[start..<min(start + CheckReader.recordsPerTrip, owned.count)]
            let hashes = try reader.hashes(part.map { schema.inode(InodeID($0.value.owner)) })
            for ((data, tally), pairs) in zip(part, hashes) {
                guard let pairs else { continue }
                guard let record = readable(pairs, InodeID(tally.owner)),
                    record.data.rawValue == data
                else { continue }
                try judge(record, tally)
                if let dense = record.denseBlocks, tally.count > 0 {
                    sparse[data] = SparseFile(inode: record.id, denseBlocks: dense)
                }
            }
        }
        try judgeRegistration(sparse)
    }

    func readable(_ pairs: [Pair], _ inode: InodeID) -> InodeRecord? {
        do throws(FormatError) {
            return try InodeRecord(parsing: pairs, id: inode)
        } catch {
            return nil
        }
    }

    private func judge(_ record: InodeRecord, _ tally: DataTally) throws(StoreError) {
        let key = schema.inode(record.id)
        if tally.count > 0, tally.last >= record.allocatedBlocks {
            guard try isStored(record, tally.last) else { return }
            var mutations = [
                Mutation.raise(key: key, field: Field.alloc, to: Int64(tally.last + 1))
            ]
            if record.denseBlocks != nil {
                mutations.append(registering(record.data, block: tally.last))
            }
            return try find(
                .allocTooLow, key,
                "says l = \(record.allocatedBlocks), block \(tally.last) is stored",
                [dataCondition(record)], mending: mutations,
                publishing: [.attributes(record.id)])
        }
        try judgeEnd(record, tally)
        try judgeCount(record, tally)
    }

    /// Behind the end there are no blocks, unless the record says that they are stale, or a session may
    /// be about to commit them.
    private func judgeEnd(_ record: InodeRecord, _ tally: DataTally) throws(StoreError) {
        let end = settings.blockSize.blockCount(forSize: record.size)
        let extender = record.extender.rawValue
        guard tally.count > 0, tally.last >= end, !record.tail.isStale,
            !references.crashed.contains(extender), !references.sessions.contains(extender),
            try isStored(record, tally.last)
        else { return }
        let key = schema.inode(record.id)
        let stale = TailState(generation: record.tail.generation + 1)
        try find(
            .blocksBehindEnd, key,
            "has \(record.size) bytes, and block \(tally.last) is stored",
            [
                dataCondition(record), record.tail.condition(key), sizeCondition(record),
                extender == 0
                    ? .fieldAbsent(key: key, field: Field.extender)
                    : .fieldEquals(
                        key: key, field: Field.extender, value: Bytes(decimal: extender)),
            ], mending: [.setFields(key: key, [Pair(Field.tail, stale.stored)])],
            publishing: [.attributes(record.id)])
    }

    private func judgeCount(_ record: InodeRecord, _ tally: DataTally) throws(StoreError) {
        guard record.storedBlocks != tally.count, record.denseBlocks == nil,
            record.allocatedBlocks <= Self.maximumRecount
        else { return }
        let exact = try recount(record)
        guard exact != record.storedBlocks else { return }
        let key = schema.inode(record.id)
        let seen = Bytes(decimal: record.storedBlocks)
        let change = Int64(exact) - Int64(record.storedBlocks)
        try find(
            .wrongBlockCount, key, "says k = \(record.storedBlocks), \(exact) is right",
            [
                dataCondition(record),
                record.storedBlocks == 0
                    ? .fieldAbsent(key: key, field: Field.stored)
                    : .fieldEquals(key: key, field: Field.stored, value: seen),
            ],
            mending: [
                .setFields(key: key, [Pair(Field.stored, Bytes(decimal: exact))]),
                .increment(key: schema.volume, field: Field.blocks, by: change),
            ], publishing: [.attributes(record.id)])
    }

    private func recount(_ record: InodeRecord) throws(StoreError) -> UInt64 {
        var count: UInt64 = 0
        var next: UInt64 = 0
        while next < record.allocatedBlocks {
            let end = min(record.allocatedBlocks, next + UInt64(CheckReader.perStep))
            let found = try reader.existing(schema.blocks(of: record.data, next..<end))
            count += UInt64(found.count { $0 })
            next = end
        }
        return count
    }

    func isStored(_ record: InodeRecord, _ index: UInt64) throws(StoreError) -> Bool {
        let address = BlockAddress(data: record.data, index: BlockIndex(index))
        return try reader.existing([schema.block(address)]) == [true]
    }

    func registering(_ data: DataID, block: UInt64) -> Mutation {
        .setFields(key: schema.chunks(data), [Chunk(of: block).pair])
    }

    func dataCondition(_ record: InodeRecord) -> Condition {
        .fieldEquals(
            key: schema.inode(record.id), field: Field.data,
            value: Bytes(decimal: record.data.rawValue))
    }

    private func sizeCondition(_ record: InodeRecord) -> Condition {
        let key = schema.inode(record.id)
        return record.size == 0
            ? .fieldAbsent(key: key, field: Field.size)
            : .fieldEquals(key: key, field: Field.size, value: Bytes(decimal: record.size))
    }

    // MARK: Leaks

    /// Data that no record names and the garbage list does not have. Blocks were counted before records
    /// were read, and those before the list: nobody will name this data any more.
    func judgeLeaks(_ tables: CheckTables) throws(StoreError) {
        guard !references.isPartial else { return }
        let leaked = tables.data.filter {
            $0.value.owner == 0 && !references.data.contains($0.key)
        }
        let withBlocks = Set(leaked.filter { $0.value.count > 0 }.map(\.key))
        for (data, tally) in leaked.sorted(by: { $0.key < $1.key }) where tally.count > 0 {
            try find(
                .leakedBlocks, schema.block(BlockAddress(data: DataID(data), index: BlockIndex(0))),
                "\(tally.count) blocks of data \(data), which no inode has", mending: [])
        }
        if options.repairs { try dropBlocks(of: withBlocks) }
        // A file that became sparse after its record was read has a hash that was seen too late.
        let changes = try reader.counter(Field.changes) ?? 0
        for (data, tally) in leaked where tally.hasChunks {
            let key = schema.chunks(DataID(data))
            try find(
                .leakedChunks, key, "chunks of data \(data), which no inode has",
                [
                    .fieldEquals(
                        key: schema.volume, field: Field.changes, value: Bytes(decimal: changes))
                ], mending: [.delete(key: key)])
        }
    }

    private func dropBlocks(of data: Set<UInt64>) throws(StoreError) {
        guard !data.isEmpty else { return }
        try reader.scan(schema.blockKeyPrefix) { keys throws(StoreError) in
            let leaked = keys.filter { key in
                schema.address(ofBlock: key).map { data.contains($0.data.rawValue) } ?? false
            }
            if !leaked.isEmpty { try reader.store.drop(leaked) }
        }
    }
}
