import FileSystem
import KeyValue
import Logging
public import Primitives

/// What an append did.
public struct AppendOutcome: Sendable, Equatable {
    /// Where the bytes begin.
    public var start: UInt64
    /// They lie within these.
    public var blocks: Range<UInt64>
    public var allocatedBlocks: UInt64
    public var storedBlocks: UInt64
    public var tail: TailState
}

extension VolumeStore {
    /// Sums in a batch stay exact up to here.
    private static let largestSum: UInt64 = 1 << 53

    /// Puts bytes behind the end of a file, wherever other mounts have moved that: place, bytes and size are
    /// one batch, so nobody else is given the place and nobody sees it without the bytes. One trip when
    /// `alloc` suffices and no block is made.
    ///
    /// The size of `commit` is not looked at. ESTALE when the inode is gone or has another data id; EFBIG.
    public func append(
        _ payload: UnsafeRawBufferPointer, then commit: SizeCommit
    ) throws(Errno) -> AppendOutcome {
        guard !isReadOnly else { throw .readOnlyFileSystem }
        precondition(!payload.isEmpty, "an append of something")
        try awaitPermissionToWrite()
        let bytes = Bytes(payload)
        let conditionCount = 2
        for _ in 0..<Rounds.decisions {
            var entry = try knownEntry(commit.inode, commit.data)
            if entry.hasStaleTail {
                try clearTail(of: commit.inode, commit.data, isForced: entry.extenderCrashed)
                entry = try knownEntry(commit.inode, commit.data)
            }
            guard entry.size <= Self.largestSum - UInt64(payload.count) else {
                throw .fileTooLarge
            }
            let blocks = room(for: payload.count, entry)
            try allocate(Array(blocks), of: commit.inode, &entry, extends: false)
            switch try attempt(bytes, commit, entry, blocks) {
            case .committed(let sums):
                return try finish(sums, commit, entry, blocks, payload.count)
            case .conditionFailed(let index):
                known.forget(commit.inode)
                guard index == conditionCount else { continue }
                // Others have moved the end out of the room, or a block of it is compressed.
                entry = try knownEntry(commit.inode, commit.data)
                let wanted = room(for: payload.count, entry)
                if blocks.contains(wanted.lowerBound) {
                    try storeRaw(commit.data, blocks.clamped(to: wanted))
                }
            }
        }
        throw tooManyRounds("append")
    }

    /// The blocks that get the bytes if the file ends where it is believed to, and one more, when that may be
    /// stored without a trip of its own: so others can append a little meanwhile.
    private func room(for count: Int, _ entry: KnownInodes.Entry) -> Range<UInt64> {
        let size = UInt64(settings.blockSize.bytes)
        let first = entry.size / size
        let end = (entry.size + UInt64(count) - 1) / size + 1
        return first..<(end < entry.dense ?? entry.alloc ? end + 1 : end)
    }

    private func attempt(
        _ payload: Bytes, _ commit: SizeCommit, _ entry: KnownInodes.Entry, _ blocks: Range<UInt64>
    ) throws(Errno) -> CommitOutcome {
        let key = schema.inode(commit.inode)
        let append = BlockAppend(
            key: key, field: Field.size, blocks: schema.blocks(of: commit.data, blocks),
            start: blocks.lowerBound * UInt64(settings.blockSize.bytes),
            blockBytes: settings.blockSize.bytes,
            header: BlockFrame.raw(epoch: settings.epoch).header,
            comparing: BlockFrame.comparedBytes, payload: payload)
        let conditions: [Condition] = [
            .fieldEquals(
                key: key, field: Field.data, value: Bytes(decimal: commit.data.rawValue)),
            entry.tail.condition(key),
        ]
        let mutations =
            [.append(append)] + sizeMutations(commit.inode, size: nil, commit) + [
                publish([
                    .attributes(commit.inode), .data(commit.inode, commit.data, blocks: blocks),
                ])
            ]
        // As a store of blocks: with replicas, it waits for them.
        guard let outcome = try storeBlocks([], (conditions, mutations)).batch else {
            throw errno(for: .protocolViolation("a batch without an answer"))
        }
        return outcome
    }

    private func finish(
        _ sums: [Int64], _ commit: SizeCommit, _ entry: KnownInodes.Entry, _ blocks: Range<UInt64>,
        _ count: Int
    ) throws(Errno) -> AppendOutcome {
        guard sums.count >= 2, sums[0] >= count, sums[1] >= 0 else {
            throw errno(for: .protocolViolation("an append without its place"))
        }
        var after = entry
        after.size = UInt64(sums[0])
        after.stored += UInt64(sums[1])
        if sums[1] > 0 { countAppended(Int(sums[1]), commit) }
        known.update(commit.inode) { $0 = after }
        return AppendOutcome(
            start: after.size - UInt64(count), blocks: blocks, allocatedBlocks: after.alloc,
            storedBlocks: after.stored, tail: after.tail)
    }

    /// The bytes are stored, whatever becomes of this: a program that was told of a failure would append them
    /// again.
    private func countAppended(_ blocks: Int, _ commit: SizeCommit) {
        do throws(Errno) {
            _ = try self.commit(
                [
                    .fieldEquals(
                        key: schema.inode(commit.inode), field: Field.data,
                        value: Bytes(decimal: commit.data.rawValue))
                ], countStored(commit.inode, by: blocks))
        } catch {
            logger.warning(
                "appended blocks are not counted before 'apusfs check --repair'",
                metadata: ["inode": "\(commit.inode)", "blocks": "\(blocks)", "error": "\(error)"])
        }
    }

    /// Stores blocks that are compressed as they are before that, so that bytes can be put into them.
    private func storeRaw(_ data: DataID, _ blocks: Range<UInt64>) throws(Errno) {
        let buffer = scratch.take()
        defer { scratch.giveBack(buffer) }
        for index in blocks {
            let address = BlockAddress(data: data, index: BlockIndex(index))
            let loaded = try loadFrames([BlockRequest(address: address, memory: buffer)])
            guard let block = loaded.first, block.form == .packed, let header = block.header else {
                continue
            }
            let raw = BlockWrite(
                key: schema.block(address),
                kind: .replaceMatching(
                    header: BlockFrame.raw(epoch: settings.epoch).header, expected: header),
                payload: UnsafeRawBufferPointer(rebasing: buffer[..<block.contentBytes]))
            let session = membership.key(schema)
            _ = try translated { () throws(StoreError) in
                try store.store([raw], then: nil, by: session)
            }
        }
    }
}
