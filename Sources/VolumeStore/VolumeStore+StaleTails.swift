import FileSystem
import KeyValue
import Logging
public import Primitives

// The protocol of docs/FORMAT.md, "Stale tails": claim (j odd, with this session), drop and cut what
// lies behind the size, then declare clear (j even). Batches behind stored blocks are conditioned on j,
// so none of them can have overlapped with a clearing and still happen.

extension VolumeStore {
    /// How long one mount waits for another one that is clearing the same file.
    private static let claimMilliseconds = 60_000
    private static let pollMilliseconds = 5

    /// Clears what a cut or a crash has left behind the size, before the file grows over it; returns
    /// what the inode is then. No trip when the reaper was faster: what is known of the inode may be older
    /// than `record`, so only a later generation, which nothing but a clearing brings, says so. ESTALE when
    /// the inode is gone or has other data.
    public func clearStaleTail(of record: InodeRecord) throws(Errno) -> InodeRecord {
        let entry = known.entry(record.id)
        var cleared = record
        if let entry, entry.data == record.data, !entry.hasStaleTail,
            entry.tail.generation > record.tail.generation
        {
            cleared.tail = entry.tail
        } else {
            cleared.tail = try clearTail(
                of: record.id, record.data, isForced: entry?.extenderCrashed == true
            ).tail
        }
        cleared.extenderCrashed = false
        return cleared
    }

    /// Clears what lies behind the size. With `isForced` also when the record does not say that it is
    /// stale. ESTALE when the inode is gone or has other data.
    @discardableResult
    func clearTail(
        of inode: InodeID, _ data: DataID, isForced: Bool
    ) throws(Errno) -> InodeRecord {
        try tailStripes.withExclusive(inode) { () throws(Errno) in
            try clearTailHoldingStripe(of: inode, data, isForced: isForced)
        }
    }

    /// The reaper's turn at a file that was cut. Returns whether it is off the list.
    func reapTail(of inode: InodeID) -> Bool {
        do throws(Errno) {
            guard let record = try records(of: [inode])[0], record.hasStaleTail else {
                let member = GarbageItem.tail(inode).stored
                _ = try commit([], [.removeMember(key: schema.garbage, name: member)])
                return true
            }
            if let claimant = record.tail.claimant, claimant != sessionID,
                try isRegistered(claimant)
            {
                _ = try commit(
                    [], [discard(.tail(inode), dueMilliseconds: Reaping.tailMilliseconds)])
                return false
            }
            let cleared = try clearTail(of: inode, record.data, isForced: false)
            life.withLock { $0.hooks }?.onTailCleared(cleared.data, staleBlocks(of: cleared))
            return true
        } catch {
            // Stays on the list; whoever extends the file clears it first anyway.
            if error != .stale {
                logger.warning(
                    "what was cut off a file is not dropped yet",
                    metadata: ["inode": "\(inode)", "error": "\(error)"])
            }
            return false
        }
    }

    private func isRegistered(_ session: SessionID) throws(Errno) -> Bool {
        try read([.fields(key: schema.session(session), [Field.start])]) != [.values([nil])]
    }

    func clearTailHoldingStripe(
        of inode: InodeID, _ data: DataID, isForced: Bool
    ) throws(Errno) -> InodeRecord {
        for _ in 0..<Rounds.decisions {
            known.forget(inode)
            var record = try self.record(of: inode)
            guard record.data == data else { throw .stale }
            guard record.hasStaleTail || isForced else { return record }
            try awaitUnclaimed(&record)
            guard record.data == data else { throw .stale }
            guard record.hasStaleTail || isForced else { return record }
            let claimed = record.tail.claimed(by: sessionID)
            if claimed != record.tail {
                guard try setTail(record, to: claimed, []) else { continue }
                // Before the claim others could make the file longer; from here on nobody can.
                known.forget(inode)
                record = try self.record(of: inode)
                guard record.data == data else { throw .stale }
                guard record.tail == claimed else { continue }
            }
            if let cleared = try clearClaimed(record) { return cleared }
        }
        throw tooManyRounds("clearing a tail")
    }

    /// Waits while another session that is there clears the tail.
    func awaitUnclaimed(_ record: inout InodeRecord) throws(Errno) {
        let deadline = Deadline.after(milliseconds: Self.claimMilliseconds)
        while let claimant = record.tail.claimant, claimant != sessionID {
            if try !isRegistered(claimant) { return }
            guard !deadline.hasPassed else {
                logger.error(
                    "another session does not end clearing a file",
                    metadata: ["inode": "\(record.id)", "session": "\(claimant)"])
                throw .ioError
            }
            // Rare and short: two mounts cut and extend one file at the same moment.
            let _: Bool? = life.wait(until: .after(milliseconds: Self.pollMilliseconds)) {
                $0.isClosed ? true : nil
            }
            known.forget(record.id)
            record = try self.record(of: record.id)
        }
    }

    private func setTail(
        _ record: InodeRecord, to tail: TailState, _ more: [Mutation]
    ) throws(Errno) -> Bool {
        let key = schema.inode(record.id)
        let outcome = try commit(
            tailConditions(record), [.setFields(key: key, [Pair(Field.tail, tail.stored)])] + more)
        guard case .committed = outcome else { return false }
        return true
    }

    private func tailConditions(_ record: InodeRecord) -> [Condition] {
        let key = schema.inode(record.id)
        return [
            .fieldEquals(
                key: key, field: Field.data, value: Bytes(decimal: record.data.rawValue)),
            record.tail.condition(key),
        ]
    }

    /// The tail is claimed by this session. `nil` when the last block changed meanwhile.
    private func clearClaimed(_ record: InodeRecord) throws(Errno) -> InodeRecord? {
        let kept = settings.blockSize.blockCount(forSize: record.size)
        // The session that has the claim, whatever this mount's is by now.
        let session = schema.session(record.tail.claimant ?? sessionID)
        try dropBlocks(of: record, from: kept, by: session)
        let buffer = scratch.take()
        defer { scratch.giveBack(buffer) }
        let packed = scratch.take()
        defer { scratch.giveBack(packed) }
        let writes = try cutLastBlock(record, buffer)
        var after = record
        after.tail = record.tail.cleared
        after.extender = sessionID
        after.extenderCrashed = false
        let stored =
            record.storedBlocks == kept
            ? kept : try countExisting(record.data, 0..<min(kept, record.allocatedBlocks))
        after.storedBlocks = stored
        let key = schema.inode(record.id)
        let mutations =
            [
                Mutation.setFields(
                    key: key,
                    [
                        Pair(Field.tail, after.tail.stored),
                        Pair(Field.extender, Bytes(decimal: sessionID.rawValue)),
                    ]),
                .removeMember(key: schema.garbage, name: GarbageItem.tail(record.id).stored),
                // Who has loaded the last block or one behind it since the cut has loaded old bytes.
                publish([.data(record.id, record.data, blocks: staleBlocks(of: record))]),
            ] + countStored(record.id, by: Int(stored) - Int(clamping: record.storedBlocks))
        let conditions = tailConditions(record)
        let outcome = try translated { () throws(StoreError) in
            try slots.withID(session: membership.key(schema)) { id throws(StoreError) in
                try store.store(
                    writes, then: Batch(id: id, conditions: conditions, mutations: mutations),
                    by: session)
            }
        }
        guard case .committed = outcome.batch else { return nil }
        known.forget(record.id)
        known.note(after)
        return after
    }

    /// The last block and what may be stored behind it.
    private func staleBlocks(of record: InodeRecord) -> Range<UInt64> {
        let kept = settings.blockSize.blockCount(forSize: record.size)
        return (kept > 0 ? kept - 1 : 0)..<max(kept, record.allocatedBlocks)
    }

    /// The write that makes the bytes of the last block behind the size zeros; none when they are.
    private func cutLastBlock(
        _ record: InodeRecord, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> [BlockWrite] {
        let position = settings.blockSize.position(of: FileOffset(record.size))
        guard position > 0 else { return [] }
        let address = BlockAddress(
            data: record.data,
            index: settings.blockSize.block(containing: FileOffset(record.size)))
        guard let block = try loadFrames([BlockRequest(address: address, memory: buffer)]).first,
            let header = block.header, block.contentBytes > position
        else { return [] }
        let raw = BlockFrame.raw(epoch: settings.epoch).header
        if block.form == .raw {
            buffer.zero(from: position)
            return [
                BlockWrite(
                    key: schema.block(address),
                    kind: .patchMatching(
                        header: raw, comparing: BlockFrame.comparedBytes, offset: position),
                    payload: UnsafeRawBufferPointer(
                        rebasing: buffer[position..<block.contentBytes]))
            ]
        }
        // Stored raw: its next change is likely to be an append, which can then be a patch.
        return [
            BlockWrite(
                key: schema.block(address),
                kind: .replaceMatching(header: raw, expected: header),
                payload: UnsafeRawBufferPointer(rebasing: buffer[..<position]))
        ]
    }

    /// Drops every block that may be stored at `from` or behind.
    private func dropBlocks(
        of record: InodeRecord, from: UInt64, by session: Bytes
    ) throws(Errno) {
        let dense = record.denseBlocks ?? record.allocatedBlocks
        var next = from
        while next < dense {
            let end = min(dense, next + UInt64(Reaping.keysPerTrip))
            let keys = schema.blocks(of: record.data, next..<end)
            try translated { () throws(StoreError) in try store.drop(keys, by: session) }
            next = end
        }
        guard record.denseBlocks != nil else { return }
        try translated { () throws(StoreError) in
            try dropChunks(of: record.data, from: from, keepsHash: true, by: session)
        }
    }
}
