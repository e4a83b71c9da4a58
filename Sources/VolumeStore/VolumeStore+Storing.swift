import Codecs
import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

/// What becomes of the inode behind stored blocks, in the same trip.
public struct SizeCommit: Sendable, Equatable {
    public var inode: InodeID
    public var data: DataID
    /// The size becomes at least this.
    public var size: UInt64?
    public var modificationTime: Timestamp?
    public var changeTime: Timestamp?
    public var accessTime: Timestamp?
    /// The low 12 bits of a mode (a write cleared setuid and setgid).
    public var newPermissions: UInt32?

    public init(
        inode: InodeID, data: DataID, size: UInt64? = nil, modificationTime: Timestamp? = nil,
        changeTime: Timestamp? = nil, accessTime: Timestamp? = nil, newPermissions: UInt32? = nil
    ) {
        self.inode = inode
        self.data = data
        self.size = size
        self.modificationTime = modificationTime
        self.changeTime = changeTime
        self.accessTime = accessTime
        self.newPermissions = newPermissions
    }
}

public struct BlockStoreOutcome: Sendable, Equatable {
    /// For each change, in order: what is stored now.
    public var forms: [StoredForm]
    public var allocatedBlocks: UInt64
    public var storedBlocks: UInt64
    /// The inode's size as far as this mount knows: more than was asked for when the file was cut
    /// meanwhile and the bytes were stored behind the cut.
    public var size: UInt64
}

extension VolumeStore {
    /// Stores dirty blocks of one inode, then commits what they did to it: one trip, when `alloc`
    /// suffices and no other mount is in the way.
    ///
    /// ESTALE when the inode is gone or has another data id: somebody cut the file to nothing; what was
    /// stored goes to the garbage list.
    public func store(
        _ changes: [BlockChange], of inode: InodeID, then commit: SizeCommit?
    ) throws(Errno) -> BlockStoreOutcome {
        guard !isReadOnly else { throw .readOnlyFileSystem }
        guard let data = commit?.data ?? changes.first?.address.data else {
            return BlockStoreOutcome(forms: [], allocatedBlocks: 0, storedBlocks: 0, size: 0)
        }
        precondition(
            changes.allSatisfy { $0.address.data == data }, "one call stores blocks of one data id")
        try awaitPermissionToWrite()
        try requireLease()
        var job = StoreJob(inode: inode, data: data, changes: changes, commit: commit)
        defer { job.release(to: scratch) }
        for _ in 0..<Rounds.decisions {
            let entry = try prepare(&job)
            let epoch = membership.beginLoneCall()
            defer { if epoch != nil { membership.endLoneCall() } }
            do throws(Errno) {
                if let outcome = try attempt(&job, entry, loneEpoch: epoch) { return outcome }
            } catch {
                // What was stored behind the size and not committed is cleared before an extension.
                known.update(inode) { $0.extenderCrashed = true }
                throw error
            }
            job.startAgain()
        }
        throw tooManyRounds("store")
    }

    /// Learns what is needed of the inode, and makes its blocks storable: a stale tail is cleared, and
    /// `alloc` raised.
    private func prepare(_ job: inout StoreJob) throws(Errno) -> KnownInodes.Entry {
        var entry = try knownEntry(job.inode, job.data)
        let end = job.dirtyEnd(settings.blockSize)
        job.extends = max(end ?? 0, job.commit?.size ?? 0) > entry.size
        if job.extends, entry.hasStaleTail {
            let isForced = entry.extenderCrashed
            try clearTail(of: job.inode, job.data, isForced: isForced)
            entry = try knownEntry(job.inode, job.data)
        }
        if job.isRepeated, let end, end > entry.size {
            // The file was cut between the writes and now: the writes come after the cut.
            job.minimumSize = min(end, FileOffset.maximum.bytes)
        }
        job.allocBefore = entry.alloc
        try allocate(
            job.changes.map { $0.address.index.rawValue }, of: job.inode, &entry,
            extends: job.extends)
        return entry
    }

    func knownEntry(_ inode: InodeID, _ data: DataID) throws(Errno) -> KnownInodes.Entry {
        if let entry = known.entry(inode), entry.data == data { return entry }
        guard let record = try records(of: [inode])[0], record.data == data else { throw .stale }
        return KnownInodes.Entry(record)
    }

    /// `nil`: what was believed of the inode or of other sessions was wrong; everything is stored again.
    private func attempt(
        _ job: inout StoreJob, _ entry: KnownInodes.Entry, loneEpoch: Int64?
    ) throws(Errno) -> BlockStoreOutcome? {
        job.codec = entry.codec ?? settings.codec
        job.compression = entry.compression
        job.decide(
            StoreCircumstances(
                isAlone: loneEpoch != nil, blockBytes: settings.blockSize.bytes,
                compresses: job.codec != .none))
        try assumeCreations(&job, entry)
        for _ in 0..<Rounds.decisions {
            try loadForMerging(&job)
            let writes = job.makeWrites(self)
            let batch = commitBehind(job, entry, loneEpoch)
            let outcome = try storeBlocks(writes, batch)
            guard job.take(outcome.writes) else { continue }
            guard let answer = outcome.batch else {
                throw errno(for: .protocolViolation("a batch without an answer"))
            }
            switch answer {
            case .committed: return try finish(job, entry)
            case .conditionFailed(0):
                try discardStored(job)
                throw .stale
            case .conditionFailed(let index):
                known.forget(job.inode)
                if loneEpoch != nil, index == Self.sessionCondition {
                    membership.doubt()
                    keeperTask { $0.mustRefresh = true }
                }
                return nil
            }
        }
        throw tooManyRounds("merging blocks")
    }

    func storeBlocks(
        _ writes: [BlockWrite], _ batch: (conditions: [Condition], mutations: [Mutation])
    ) throws(Errno) -> StoreOutcome {
        try translated { () throws(StoreError) in
            try slots.withID(session: membership.key(schema)) { id throws(StoreError) in
                let before = greatestChange
                let outcome = try store.store(
                    writes,
                    then: Batch(
                        id: id, conditions: batch.conditions, mutations: batch.mutations),
                    by: id.session)
                if let answer = outcome.batch {
                    noteHistory(answer, batch.mutations, askedAt: before)
                }
                guard outcome.writes.count == writes.count else {
                    throw .protocolViolation("a store that does not answer each write")
                }
                return outcome
            }
        }
    }

    /// Where `commitBehind` puts the condition on the session epoch, if it needs one.
    private static let sessionCondition = 2

    private func commitBehind(
        _ job: StoreJob, _ entry: KnownInodes.Entry, _ loneEpoch: Int64?
    ) -> (conditions: [Condition], mutations: [Mutation]) {
        let key = schema.inode(job.inode)
        var conditions: [Condition] = [
            .fieldEquals(key: key, field: Field.data, value: Bytes(decimal: job.data.rawValue)),
            entry.tail.condition(key),
        ]
        if let loneEpoch {
            conditions.append(
                .fieldEquals(
                    key: schema.volume, field: Field.sessionEpoch, value: Bytes(decimal: loneEpoch))
            )
        }
        var mutations = sizeMutations(job.inode, size: job.newSize, job.commit)
        mutations += countStored(job.inode, by: job.assumedCreations)
        if let next = Allocation.ahead(of: job.changes, entry) {
            conditions.append(.fieldAbsent(key: key, field: Field.dense))
            mutations.append(.raise(key: key, field: Field.alloc, to: Int64(next)))
        }
        mutations.append(publish(job.announcements))
        return (conditions, mutations)
    }

    /// What stored blocks bring to their inode, but for the count of blocks.
    func sizeMutations(_ inode: InodeID, size: UInt64?, _ commit: SizeCommit?) -> [Mutation] {
        let key = schema.inode(inode)
        var mutations: [Mutation] = []
        if let size {
            mutations.append(.raise(key: key, field: Field.size, to: Int64(clamping: size)))
        }
        if let pairs = commit?.exactFields, !pairs.isEmpty {
            mutations.append(.setFields(key: key, pairs))
        }
        if let time = commit?.changeTime {
            mutations.append(.raise(key: key, field: Field.changeTime, to: time.nanoseconds))
        }
        return mutations
    }

    /// Counts blocks that came to be stored (or were dropped) in the inode and in the volume.
    func countStored(_ inode: InodeID, by amount: Int) -> [Mutation] {
        guard amount != 0 else { return [] }
        return [
            .increment(key: schema.inode(inode), field: Field.stored, by: Int64(amount)),
            increment(Field.blocks, by: Int64(amount)),
        ]
    }

    private func finish(
        _ job: StoreJob, _ entry: KnownInodes.Entry
    ) throws(Errno) -> BlockStoreOutcome {
        var after = entry
        after.stored = UInt64(max(0, Int64(after.stored) + Int64(job.actualCreations)))
        var correction = job.actualCreations - job.assumedCreations
        if job.isRepeated, after.alloc <= Allocation.farBlocks {
            // Blocks of an attempt that failed are there without having been counted.
            let counted = try record(of: job.inode).storedBlocks
            after.stored = try countExisting(job.data, 0..<after.alloc)
            correction = Int(after.stored) - Int(clamping: counted)
        }
        if correction != 0 {
            _ = try commit(
                [
                    .fieldEquals(
                        key: schema.inode(job.inode), field: Field.data,
                        value: Bytes(decimal: job.data.rawValue))
                ], countStored(job.inode, by: correction))
        }
        after.compression = job.compression
        after.size = max(after.size, job.newSize ?? 0)
        if let next = Allocation.ahead(of: job.changes, entry) { after.alloc = next }
        known.update(job.inode) { $0 = after }
        return BlockStoreOutcome(
            forms: job.forms, allocatedBlocks: after.alloc, storedBlocks: after.stored,
            size: after.size)
    }

    /// Decides for each block whether it will be a new one, where that is not known.
    private func assumeCreations(_ job: inout StoreJob, _ entry: KnownInodes.Entry) throws(Errno) {
        let sizeBlocks = settings.blockSize.blockCount(forSize: entry.size)
        var open: [Int] = []
        for position in job.blocks.indices {
            let index = job.changes[position].address.index.rawValue
            switch job.changes[position].form {
            case .absent: job.blocks[position].isCreation = true
            case .raw, .packed: job.blocks[position].isCreation = false
            case .unknown:
                if index >= job.allocBefore || entry.stored == 0 {
                    job.blocks[position].isCreation = true
                } else if entry.stored >= sizeBlocks, index < sizeBlocks {
                    job.blocks[position].isCreation = false
                } else {
                    open.append(position)
                }
            }
        }
        guard !open.isEmpty else { return }
        let addresses = open.map { job.changes[$0].address }
        let existing = try exist(addresses)
        for (position, exists) in zip(open, existing) {
            job.blocks[position].isCreation = !exists
        }
    }

    func exist(_ addresses: [BlockAddress]) throws(Errno) -> [Bool] {
        let answers = try read([.existence(keys: addresses.map { schema.block($0) })])
        guard case .existing(let existing) = answers[0], existing.count == addresses.count else {
            throw answerMismatch()
        }
        return existing
    }

    private func loadForMerging(_ job: inout StoreJob) throws(Errno) {
        let positions = job.positionsToMerge
        guard !positions.isEmpty else { return }
        var requests: [BlockRequest] = []
        for position in positions {
            let buffer = job.buffer(for: position, from: scratch)
            requests.append(
                BlockRequest(address: job.changes[position].address, memory: buffer))
        }
        let loaded = try loadFrames(requests)
        for (position, block) in zip(positions, loaded) { job.merge(block, at: position) }
    }

    /// The blocks belong to nobody: the inode has other data, or is gone.
    private func discardStored(_ job: StoreJob) throws(Errno) {
        known.forget(job.inode)
        let items = job.changes.map {
            GarbageItem.blocks(
                job.data, $0.address.index.rawValue..<$0.address.index.rawValue + 1)
        }
        guard !items.isEmpty else { return }
        for start in stride(from: 0, to: items.count, by: Reaping.membersPerBatch) {
            let part = items[start..<min(start + Reaping.membersPerBatch, items.count)]
            _ = try commit([], part.map { discard($0, dueMilliseconds: 0) })
        }
        reaper.add(items)
    }
}

extension SizeCommit {
    var exactFields: [Pair] {
        var pairs: [Pair] = []
        if let modificationTime {
            pairs.append(
                Pair(Field.modificationTime, Bytes(decimal: modificationTime.nanoseconds)))
        }
        if let accessTime {
            pairs.append(Pair(Field.accessTime, Bytes(decimal: accessTime.nanoseconds)))
        }
        if let newPermissions {
            let mode = FileKind.regular.modeBits | newPermissions & 0o7777
            pairs.append(Pair(Field.mode, Bytes(decimal: UInt64(mode))))
        }
        return pairs
    }
}
