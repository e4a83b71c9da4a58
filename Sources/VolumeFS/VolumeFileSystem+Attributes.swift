import Cache
public import FileSystem
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    public func getattr(
        _ caller: Caller, inode: InodeID, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        attributesAnswer(try freshState(of: inode))
    }

    public func readlink(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        let state = try state(of: inode)
        guard state.record.kind == .symbolicLink else { throw .invalid }
        noteAccess(state)
        return state.record.target
    }

    /// The kernel has checked permissions (`default_permissions`).
    public func access(_ caller: Caller, inode: InodeID, mask: Int32) throws(Errno) {
        let isForWriting = mask & 2 != 0
        if isForWriting, options.isReadOnly { throw .readOnlyFileSystem }
    }

    public func setattr(
        _ caller: Caller, inode: InodeID, changes: AttributeChanges, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        try requireWritable()
        let state = try freshState(of: inode)
        if let size = changes.size {
            try resize(
                state, to: size,
                clearing: privilegeClearing(by: caller, of: state, if: changes.clearsPrivileges))
        }
        if changes.userID != nil || changes.groupID != nil, !state.withFacts({ $0.isBeingCopied }) {
            try dropCapability(of: state)
        }
        let change = recordChange(changes, by: caller, of: state)
        if !change.isEmpty { try commit(change, to: state) }
        return attributesAnswer(state)
    }

    /// What a setattr changes beside the size, with the rules of chown(2) on setuid and setgid.
    private func recordChange(
        _ changes: AttributeChanges, by caller: Caller, of state: InodeState
    ) -> RecordChange {
        let now = Timestamp.now
        var change = RecordChange()
        change.permissions = changes.permissions.map { $0 & 0o7777 }
        change.userID = changes.userID
        change.groupID = changes.groupID
        let changesOwner = changes.userID != nil || changes.groupID != nil
        let isBeingCopied = changesOwner && state.withFacts { $0.isBeingCopied }
        if changes.size == nil, change.permissions == nil, !isBeingCopied {
            let clearing = privilegeClearing(
                by: caller, of: state, if: changes.clearsPrivileges || changesOwner)
            change.permissions = clearing.newPermissions(of: state.record)
        }
        change.accessTime = changes.accessTime.map { $0.timestamp(now: now) }
        change.modificationTime = changes.modificationTime.map { $0.timestamp(now: now) }
        if !change.isEmpty || changes.changeTime != nil {
            change.changeTime = changes.changeTime ?? now
        }
        return change
    }

    /// One batch. What a flush had still to commit of the same attributes is settled by it.
    private func commit(_ change: RecordChange, to state: InodeState) throws(Errno) {
        // A flush in flight must not commit older times after these.
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            let isRemoved = state.withFacts { $0.isRemoved }
            if !isRemoved {
                do throws(Errno) {
                    try commitWithList(change, to: state)
                } catch {
                    let isStillOpen = state.withFacts { $0.openCount > 0 }
                    guard error == .stale, isStillOpen else { throw error }
                }
            }
            generations.bump(state.id)
            state.withCommitted { $0.apply(change) }
        }
    }

    /// With new permissions the access list changes in the same batch.
    private func commitWithList(_ change: RecordChange, to state: InodeState) throws(Errno) {
        // Another mount may set another list between the look and the batch.
        let maximumRounds = 16
        for _ in 0..<maximumRounds {
            let list = try change.permissions.flatMap { permissions throws(Errno) in
                try listChange(of: state, permissions: permissions)
            }
            if try store.setAttributes(of: state.id, change, list: list) {
                if list != nil { state.withFacts { $0.systemAttributes = nil } }
                return
            }
            state.withFacts { $0.systemAttributes = nil }
        }
        throw .ioError
    }

    func attributesAnswer(_ state: InodeState) -> AttributesAnswer {
        AttributesAnswer(
            attributes: attributes(of: state),
            timeoutSeconds: attributeTimeoutSeconds(of: state, isKnown: true))
    }

    /// What stat(2) shows of an inode.
    func attributes(of state: InodeState) -> Attributes {
        let (record, isDirty, preallocation) = state.withFacts { facts in
            facts.noteTelling()
            return (facts.record, facts.isDirty, facts.preallocation)
        }
        return record.attributes(
            blockSize: blockSize, dirtyBlocks: isDirty ? cache.dirtyBlockCount(of: state.id) : 0,
            preallocation: preallocation)
    }

    public func statfs(_ caller: Caller, inode: InodeID) throws(Errno) -> VolumeStatistics {
        let maximumAgeMilliseconds = 1_000
        let now = Deadline.now
        let generation = generations.total
        if let snapshot = statistics.withLock({ $0 }), now < snapshot.freshUntil,
            snapshot.generation == generation
        {
            return snapshot.figures
        }
        let figures = VolumeStatistics(try store.statistics(), blockSize: blockSize)
        statistics.withLock {
            $0 = StatisticsSnapshot(
                figures: figures, generation: generation,
                freshUntil: now.advanced(byMilliseconds: maximumAgeMilliseconds))
        }
        return figures
    }
}

/// The figures of statfs(2) with the time for which they are good, unless this mount changes something.
struct StatisticsSnapshot {
    let figures: VolumeStatistics
    let generation: UInt64
    let freshUntil: Deadline
}

extension VolumeStatistics {
    /// Total is what the store may use, or else the memory of its machine; free is what it does not
    /// use, and available what of that is not kept for metadata. All in units of 4 KiB.
    init(_ stored: StoredStatistics, blockSize: BlockSize) {
        let fragmentBytes: UInt64 = 4_096
        let used = stored.usedBytes
        let total = max(stored.capacityBytes, used)
        // Room for inodes: what fits in the free memory at the size of a small file's records.
        let bytesPerInode: UInt64 = 512
        let free = total - used
        self.init(
            fragmentBytes: fragmentBytes, totalBlocks: total / fragmentBytes,
            freeBlocks: free / fragmentBytes,
            availableBlocks: stored.availableBytes / fragmentBytes,
            totalInodes: stored.inodes + free / bytesPerInode, freeInodes: free / bytesPerInode,
            maximumNameBytes: UInt64(FileName.maximumByteCount))
    }
}

extension InodeState.Facts {
    /// A batch has given the record these values.
    mutating func apply(_ change: RecordChange) {
        if let value = change.permissions {
            record.permissions = value
            pending.permissions = nil
        }
        if let value = change.userID { record.userID = value }
        if let value = change.groupID { record.groupID = value }
        if let value = change.accessTime {
            record.accessTime = value
            pending.accessTime = nil
        }
        if let value = change.modificationTime {
            record.modificationTime = value
            pending.modificationTime = nil
        }
        if let value = change.changeTime {
            record.changeTime = value
            pending.changeTime = nil
        }
    }
}

extension RecordChange {
    var isEmpty: Bool { self == RecordChange() }
}
