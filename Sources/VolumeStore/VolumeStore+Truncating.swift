import FileSystem
import KeyValue
public import Primitives

extension VolumeStore {
    /// Sets the size of a regular file; returns what the inode is then. EFBIG; ESTALE when it is gone.
    ///
    /// To 0: the file gets another data id, and its blocks go to the garbage list, in one trip however
    /// many they are. A shrink cuts the size and marks the tail as stale, in one trip too; the reaper clears
    /// what lies behind it. An extension clears a stale tail first.
    public func truncate(
        _ record: InodeRecord, to size: UInt64, time: Timestamp, permissions: UInt32?
    ) throws(Errno) -> InodeRecord {
        guard size <= FileOffset.maximum.bytes else { throw .fileTooLarge }
        guard record.kind == .regular else { throw .invalid }
        return try tailStripes.withExclusive(record.id) { () throws(Errno) in
            try truncateHoldingStripe(record, to: size, time, permissions)
        }
    }

    private func truncateHoldingStripe(
        _ record: InodeRecord, to size: UInt64, _ time: Timestamp, _ permissions: UInt32?
    ) throws(Errno) -> InodeRecord {
        var record = refreshed(record)
        var isFresh = false
        for _ in 0..<Rounds.decisions {
            if size > record.size, isTailStale(record) {
                record = try clearTailHoldingStripe(
                    of: record.id, record.data, isForced: isTailStale(record))
                isFresh = true
            }
            try awaitUnclaimed(&record)
            if let after = try cut(record, to: size, time, permissions) {
                if after.tail.claimant == sessionID { reaper.add([.tail(after.id)]) }
                return after
            }
            if isFresh { known.forget(record.id) }
            record = try self.record(of: record.id)
            isFresh = true
        }
        throw tooManyRounds("truncate")
    }

    private func isTailStale(_ record: InodeRecord) -> Bool {
        record.hasStaleTail || known.entry(record.id)?.extenderCrashed == true
    }

    /// One attempt; `nil` when the record was not what is believed.
    private func cut(
        _ record: InodeRecord, to size: UInt64, _ time: Timestamp, _ permissions: UInt32?
    ) throws(Errno) -> InodeRecord? {
        let isEmpty =
            record.size == 0 && record.storedBlocks == 0 && !isTailStale(record)
        if size == 0, record.allocatedBlocks > 0, !isEmpty {
            return try replaceData(record, time, permissions)
        }
        let key = schema.inode(record.id)
        var after = record
        var pairs = exactFields(&after, time, permissions)
        var mutations: [Mutation] = []
        var changes: [RemoteChange] = [.attributes(record.id)]
        if size < record.size {
            after.size = size
            pairs.append(Pair(Field.size, Bytes(decimal: size)))
            let kept = settings.blockSize.blockCount(forSize: size)
            if kept < record.allocatedBlocks
                || settings.blockSize.position(of: FileOffset(size)) != 0
            {
                after.tail = record.tail.claimed(by: sessionID)
                pairs.append(Pair(Field.tail, after.tail.stored))
                changes.append(
                    .data(record.id, record.data, blocks: 0..<record.allocatedBlocks))
                mutations.append(
                    discard(.tail(record.id), dueMilliseconds: Reaping.tailMilliseconds))
            }
            // Without holes the number of blocks that stay is known.
            if record.storedBlocks == settings.blockSize.blockCount(forSize: record.size) {
                after.storedBlocks = kept
                mutations += countStored(
                    record.id, by: Int(kept) - Int(clamping: record.storedBlocks))
            }
        } else if size > record.size {
            after.size = size
            pairs.append(Pair(Field.size, Bytes(decimal: size)))
        }
        // First a removal, so that a full store does not refuse a shrink.
        let first: [Mutation] =
            size < record.size ? [.deleteFields(key: key, [Field.size])] : []
        let outcome = try commit(
            [
                .fieldEquals(
                    key: key, field: Field.data, value: Bytes(decimal: record.data.rawValue)),
                record.tail.condition(key), sizeCondition(record),
            ], first + [.setFields(key: key, pairs)] + mutations + [publish(changes)])
        guard case .committed = outcome else { return nil }
        known.note(after)
        return after
    }

    private func sizeCondition(_ record: InodeRecord) -> Condition {
        let key = schema.inode(record.id)
        return record.size == 0
            ? .fieldAbsent(key: key, field: Field.size)
            : .fieldEquals(key: key, field: Field.size, value: Bytes(decimal: record.size))
    }

    private func exactFields(
        _ record: inout InodeRecord, _ time: Timestamp, _ permissions: UInt32?
    ) -> [Pair] {
        record.modificationTime = time
        record.changeTime = time
        var pairs = [
            Pair(Field.modificationTime, Bytes(decimal: time.nanoseconds)),
            Pair(Field.changeTime, Bytes(decimal: time.nanoseconds)),
        ]
        if let permissions {
            record.permissions = permissions & 0o7777
            pairs.append(Pair(Field.mode, Bytes(decimal: UInt64(record.mode))))
        }
        return pairs
    }

    /// Gives the file a new data id and an empty content.
    private func replaceData(
        _ record: InodeRecord, _ time: Timestamp, _ permissions: UInt32?
    ) throws(Errno) -> InodeRecord? {
        let key = schema.inode(record.id)
        var after = record
        var pairs = exactFields(&after, time, permissions)
        after.data = DataID(try nextIdentifier())
        after.size = 0
        after.allocatedBlocks = 1
        after.denseBlocks = nil
        after.storedBlocks = 0
        after.tail = .clear
        after.extender = sessionID
        after.extenderCrashed = false
        pairs += [
            Pair(Field.data, Bytes(decimal: after.data.rawValue)), Pair(Field.alloc, Field.one),
            Pair(Field.extender, Bytes(decimal: sessionID.rawValue)),
        ]
        let alone = aloneCondition()
        let due = alone == nil ? Reaping.graceMilliseconds : 0
        let garbage = GarbageItem.data(of: record)
        var mutations: [Mutation] = [
            .deleteFields(
                key: key, [Field.size, Field.stored, Field.tail, Field.dense]),
            .setFields(key: key, pairs),
        ]
        if record.storedBlocks > 0 {
            mutations.append(increment(Field.blocks, by: -Int64(record.storedBlocks)))
        }
        mutations += garbage.map { discard($0, dueMilliseconds: due) }
        mutations.append(
            publish([
                .attributes(record.id),
                .data(record.id, record.data, blocks: 0..<record.allocatedBlocks),
            ]))
        var conditions = removalConditions(record)
        conditions[0] = .keyExists(key)
        if let alone { conditions.append(alone) }
        guard case .committed = try commit(conditions, mutations) else { return nil }
        known.note(after)
        if alone == nil {
            reaper.scan(inMilliseconds: Int(due) + 100)
        } else {
            reaper.add(garbage)
        }
        return after
    }
}
