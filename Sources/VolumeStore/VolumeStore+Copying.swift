import FileSystem
import KeyValue
public import Primitives

/// Whole blocks of one data id that become whole blocks of another one, or of another part of the same.
public struct BlockCopy: Sendable, Equatable {
    public var source: DataID
    /// Not empty.
    public var blocks: Range<UInt64>
    /// The block that the first of them becomes. The two ranges do not overlap in one data id.
    public var firstTarget: UInt64

    public init(source: DataID, blocks: Range<UInt64>, firstTarget: UInt64) {
        self.source = source
        self.blocks = blocks
        self.firstTarget = firstTarget
    }

    var targets: Range<UInt64> { firstTarget..<firstTarget + UInt64(blocks.count) }
}

/// One attempt of a copy: what was found of both ends.
private struct CopyAttempt {
    /// Position in the range of each block that is stored at the source.
    var stored: [Int] = []
    /// Position of each block that is a hole at the source and stored at the target.
    var holes: [Int] = []
    /// How many more blocks are stored afterwards.
    var growth = 0

    init(sources: [Bool], targets: [Bool]) {
        for (position, (source, target)) in zip(sources, targets).enumerated() {
            switch (source, target) {
            case (true, _):
                stored.append(position)
                if !target { growth += 1 }
            case (false, true):
                holes.append(position)
                growth -= 1
            case (false, false): break
            }
        }
    }
}

extension VolumeStore {
    /// Copies blocks inside the store, holes included, then commits what that does to the inode that gets
    /// them: three trips, and one more when `alloc` has to be raised. The bytes do not pass through here.
    ///
    /// The source's blocks are taken as they are stored. `commit` names the inode that gets the blocks.
    /// ESTALE when that inode is gone or has another data id; what was copied goes to the garbage list.
    public func copyBlocks(
        _ copy: BlockCopy, then commit: SizeCommit
    ) throws(Errno) -> BlockStoreOutcome {
        guard !isReadOnly else { throw .readOnlyFileSystem }
        precondition(!copy.blocks.isEmpty, "a copy of something")
        try awaitPermissionToWrite()
        for _ in 0..<Rounds.decisions {
            let extends: Bool
            var entry = try knownEntry(commit.inode, commit.data)
            extends = (commit.size ?? 0) > entry.size
            if extends, entry.hasStaleTail {
                try clearTail(of: commit.inode, commit.data, isForced: entry.extenderCrashed)
                entry = try knownEntry(commit.inode, commit.data)
            }
            do throws(Errno) {
                if let outcome = try attempt(copy, commit, &entry, extends: extends) {
                    return outcome
                }
            } catch {
                // Copies behind the size that were not committed are cleared before an extension.
                known.update(commit.inode) { $0.extenderCrashed = true }
                throw error
            }
        }
        throw tooManyRounds("copy")
    }

    /// `nil`: the source or what was believed of the inode changed meanwhile.
    private func attempt(
        _ copy: BlockCopy, _ commit: SizeCommit, _ entry: inout KnownInodes.Entry, extends: Bool
    ) throws(Errno) -> BlockStoreOutcome? {
        let sources = schema.blocks(of: copy.source, copy.blocks)
        let targets = schema.blocks(of: commit.data, copy.targets)
        let answers = try read([.existence(keys: sources), .existence(keys: targets)])
        guard case .existing(let atSource) = answers[0], case .existing(let atTarget) = answers[1],
            atSource.count == sources.count, atTarget.count == targets.count
        else { throw answerMismatch() }
        let found = CopyAttempt(sources: atSource, targets: atTarget)
        try allocate(
            found.stored.map { copy.firstTarget + UInt64($0) }, of: commit.inode, &entry,
            extends: extends)
        try drop(found.holes.map { targets[$0] })
        let writes = found.stored.map { position in
            BlockWrite(
                key: targets[position],
                kind: .copy(
                    source: sources[position],
                    growth: atTarget[position] ? 0 : settings.blockSize.bytes),
                payload: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        let outcome = try storeBlocks(writes, commitBehind(copy, commit, entry, found.growth))
        switch outcome.batch {
        case nil: return nil
        case .conditionFailed(0):
            try discard(copy, commit)
            throw .stale
        case .conditionFailed:
            known.forget(commit.inode)
            return nil
        case .committed:
            entry.stored = UInt64(max(0, Int64(entry.stored) + Int64(found.growth)))
            entry.size = max(entry.size, commit.size ?? 0)
            let after = entry
            known.update(commit.inode) { $0 = after }
            return BlockStoreOutcome(
                forms: [], allocatedBlocks: after.alloc, storedBlocks: after.stored,
                size: after.size)
        }
    }

    private func drop(_ keys: [Bytes]) throws(Errno) {
        guard !keys.isEmpty else { return }
        let session = membership.key(schema)
        try translated { () throws(StoreError) in try store.drop(keys, by: session) }
    }

    private func commitBehind(
        _ copy: BlockCopy, _ commit: SizeCommit, _ entry: KnownInodes.Entry, _ growth: Int
    ) -> (conditions: [Condition], mutations: [Mutation]) {
        let key = schema.inode(commit.inode)
        return (
            [
                .fieldEquals(
                    key: key, field: Field.data, value: Bytes(decimal: commit.data.rawValue)),
                entry.tail.condition(key),
            ],
            sizeMutations(commit.inode, size: commit.size, commit)
                + countStored(commit.inode, by: growth) + [
                    publish([
                        .attributes(commit.inode),
                        .data(commit.inode, commit.data, blocks: copy.targets),
                    ])
                ]
        )
    }

    /// The copies belong to nobody: the inode has other data, or is gone.
    private func discard(_ copy: BlockCopy, _ commit: SizeCommit) throws(Errno) {
        known.forget(commit.inode)
        let item = GarbageItem.blocks(commit.data, copy.targets)
        _ = try self.commit([], [discard(item, dueMilliseconds: 0)])
        reaper.add([item])
    }
}
