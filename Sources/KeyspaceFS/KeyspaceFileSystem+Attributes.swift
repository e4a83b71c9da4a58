public import FileSystem
import KeyValue
public import Primitives
import Redis

extension KeyspaceFileSystem {
    public var mayChangeElsewhere: Bool { true }

    public func getattr(
        _ caller: Caller, inode: InodeID, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        try attributes(of: try inodes.inode(inode))
    }

    /// One look at the server, unless it is a directory or open for writing here.
    private func attributes(of inode: KeyInode) throws(Errno) -> AttributesAnswer {
        let place = inode.place
        if inode.withState({ $0.orphan != nil }) || isEdited(inode) {
            return attributes(of: inode, nil)
        }
        if inode.livingPlace == nil { throw .stale }
        switch place {
        case .directory, .updater: return attributes(of: inode, nil)
        case .hash:
            guard try store.facts(of: place) != nil || index.isMade(place) else { throw .noEntry }
            return attributes(of: inode, nil)
        case .value, .field:
            guard let facts = try store.facts(of: place) else { throw .noEntry }
            return attributes(of: inode, try sized([facts], at: [place])[0])
        }
    }

    /// The same with the sizes of texts, as far as they are counted: what is not known is asked for.
    func sized(_ facts: [PlaceFacts?], at places: [Place]) throws(Errno) -> [PlaceFacts?] {
        var facts = facts
        var unknown: [(index: Int, key: Bytes)] = []
        for (index, place) in places.enumerated() {
            guard let fact = facts[index], isRendered(fact, place), let key = place.key else {
                continue
            }
            facts[index]?.size = textSizes.known(key)
            if facts[index]?.size == nil, fact.type != .other { unknown.append((index, key)) }
        }
        let keys = unknown.map(\.key)
        let sizes = try textSizes.count(keys) { () throws(Errno) in
            try store.textSizes(of: keys, options)
        }
        for ((index, _), size) in zip(unknown, sizes) { facts[index]?.size = size }
        return facts
    }

    private func isEdited(_ inode: KeyInode) -> Bool {
        inode.livingPlace.flatMap { edit(of: $0)?.size } != nil
    }

    /// From what is known, without asking.
    func attributes(of inode: KeyInode, _ facts: PlaceFacts?) -> AttributesAnswer {
        let place = inode.place
        let remembered = remembered.values(of: place)
        let isText = facts.map { isRendered($0, place) } ?? false
        let size = size(of: inode, place, facts)
        let modified = remembered?.modificationTime ?? mountTime
        return AttributesAnswer(
            attributes: Attributes(
                inode: inode.id, kind: place.isDirectory ? .directory : .regular,
                permissions: remembered?.permissions ?? permissions(place, isText: isText),
                linkCount: 1,
                userID: remembered?.userID ?? options.userID,
                groupID: remembered?.groupID ?? options.groupID, device: 0, size: size,
                storedSectors: (size + 511) / 512, preferredIOBytes: 1 << 17,
                accessTime: remembered?.accessTime ?? modified, modificationTime: modified,
                changeTime: remembered?.changeTime ?? modified),
            // A size that was not counted is known once the text is open, so the kernel has to ask again.
            timeoutSeconds: isText && facts?.size == nil || place == .updater
                ? 0 : options.attributeTimeoutSeconds)
    }

    /// Whether what is there reads as a text that is made of it.
    func isRendered(_ facts: PlaceFacts, _ place: Place) -> Bool {
        guard case .value = place else { return false }
        return facts.type != .string
    }

    private func size(of inode: KeyInode, _ place: Place, _ facts: PlaceFacts?) -> UInt64 {
        if let orphan = inode.withState({ $0.orphan }) {
            return UInt64(orphan.contents.withLock { $0.size })
        }
        if inode.livingPlace != nil, let size = edit(of: place)?.size { return UInt64(size) }
        guard let facts else { return 0 }
        return facts.size ?? inode.withState { $0.renderedBytes }
    }

    private func permissions(_ place: Place, isText: Bool) -> UInt32 {
        let mode: UInt32 =
            if place.isDirectory { 0o755 } else if place == .updater { 0o666 } else if isText {
                0o444
            } else { 0o644 }
        return options.isReadOnly && place != .updater ? mode & ~0o222 : mode
    }

    // MARK: Changing

    public func setattr(
        _ caller: Caller, inode: InodeID, changes: AttributeChanges, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        try requireWritable()
        let inode = try inodes.inode(inode)
        if let size = changes.size { try truncate(inode, to: size) }
        remember(changes, of: inode.place)
        return try attributes(of: inode)
    }

    /// For as long as the mount lives: Redis has no place for any of it.
    private func remember(_ changes: AttributeChanges, of place: Place) {
        let now = Timestamp.now
        remembered.change(place) { values in
            if let permissions = changes.permissions { values.permissions = permissions }
            if let userID = changes.userID { values.userID = userID }
            if let groupID = changes.groupID { values.groupID = groupID }
            if let time = changes.accessTime { values.accessTime = time.timestamp(now: now) }
            if let time = changes.modificationTime {
                values.modificationTime = time.timestamp(now: now)
            }
            values.changeTime = changes.changeTime ?? now
        }
    }

    private func truncate(_ inode: KeyInode, to size: UInt64) throws(Errno) {
        guard size <= UInt64(EditSession.maximumBytes) else { throw .fileTooLarge }
        if let orphan = inode.withState({ $0.orphan }) {
            return orphan.contents.withLock { $0.truncate(to: Int(size)) }
        }
        guard let place = inode.livingPlace else { throw .stale }
        guard !place.isDirectory else { throw .isDirectory }
        guard place != .updater else { return }
        // A change of its own, or part of one that is under way.
        let session = try beginEdit(of: place, truncating: false)
        defer { endEdit(of: session) }
        try session.truncate(to: Int(size))
        if isOnlyUser(of: session) { try session.flush() }
        remembered.touch(place)
    }

    public func access(_ caller: Caller, inode: InodeID, mask: Int32) throws(Errno) {}

    public func statfs(_ caller: Caller, inode: InodeID) throws(Errno) -> VolumeStatistics {
        let status: StoreStatus
        do throws(StoreError) {
            status = try store.redis.status()
        } catch {
            throw store.report(error)
        }
        // A user who may not ask sees no number.
        let answer = try store.perform([RedisCommand("DBSIZE")])[0]
        let keys = answer.failure == nil ? try store.integer(answer) : 0
        let block: UInt64 = 4_096
        let total = max(
            status.limitBytes > 0 ? status.limitBytes : status.machineBytes, status.usedBytes)
        let free = (total - status.usedBytes) / block
        return VolumeStatistics(
            fragmentBytes: block, totalBlocks: total / block, freeBlocks: free,
            availableBlocks: free, totalInodes: UInt64(clamping: keys),
            freeInodes: UInt64(UInt32.max), maximumNameBytes: UInt64(FileName.maximumByteCount))
    }
}
