import KeyValue
import Logging
import Primitives
import Telemetry

/// Bounds of the reaper.
enum Reaping {
    /// Keys dropped in one pipeline.
    static let keysPerTrip = 512
    /// Members of the list removed in one batch, or read in one scan.
    static let membersPerBatch = 256
    /// How long an inode without names waits for sessions that hold it open to say so, and blocks for
    /// readers that have not heard yet.
    static let graceMilliseconds: Int64 = 5_000
    /// Where a member that cannot be right waits for somebody who can tell.
    static let damagedMilliseconds: Int64 = 24 * 3_600_000
    /// How long others leave the tail of a file that was cut to the mount that cut it.
    static let tailMilliseconds: Int64 = 10_000
}

extension VolumeStore {
    /// One round of the reaper thread; `false` at the end.
    func reapOnce() -> Bool {
        let task = reaper.next()
        do throws(StoreError) {
            switch task {
            case .stop: return false
            case .reap(let items): try reap(items)
            case .scan: try scanGarbage(includingNotDue: false)
            }
        } catch {
            // The list keeps what is not done.
            logger.warning("reaping failed; it is tried again", metadata: ["error": "\(error)"])
            reaper.scan(inMilliseconds: ReaperQueue.scanMilliseconds)
        }
        return true
    }

    /// Reaps what stands on the list and is due. Returns how many members are done with.
    @discardableResult
    func scanGarbage(includingNotDue: Bool) throws(StoreError) -> Int {
        let answers = try store.read([
            .time, .members(key: schema.garbage, upTo: .max, limit: Reaping.membersPerBatch),
        ])
        guard answers.count == 2, case .time(let now) = answers[0],
            case .members(let members) = answers[1]
        else { throw .protocolViolation("unexpected answers about garbage") }
        let due = members.filter { includingNotDue || $0.score <= now }
        var items: [GarbageItem] = []
        for member in due {
            do throws(FormatError) {
                items.append(try GarbageItem(parsing: member.name))
            } catch {
                _ = malformed(schema.garbage, error.what)
                _ = try commitRaw(
                    [],
                    [
                        .addMemberDue(
                            key: schema.garbage, name: member.name,
                            inMilliseconds: Reaping.damagedMilliseconds)
                    ])
            }
        }
        let count = try reap(items)
        if due.count == Reaping.membersPerBatch {
            reaper.scan(inMilliseconds: 0)
        } else if let next = members.first(where: { $0.score > now }) {
            reaper.scan(inMilliseconds: Int(clamping: next.score - now + 1))
        }
        return count
    }

    /// Drops blocks, in bounded pipelines, then takes the items off the list. Returns how many are done.
    @discardableResult
    func reap(_ items: [GarbageItem]) throws(StoreError) -> Int {
        var count = 0
        var keys: [Bytes] = []
        var done: [GarbageItem] = []
        let session = membership.key(schema)
        for item in items {
            switch item {
            case .inode(let inode):
                if try reapNameless(inode) { count += 1 }
            case .tail(let inode):
                if reapTail(of: inode) { count += 1 }
            case .chunks(let data):
                try dropChunks(of: data, by: session)
                done.append(item)
                count += 1
            case .blocks(let data, let range):
                for index in range {
                    keys.append(schema.block(BlockAddress(data: data, index: BlockIndex(index))))
                    if keys.count == Reaping.keysPerTrip { try drop(&keys, by: session) }
                }
                done.append(item)
                count += 1
            }
            if done.count == Reaping.membersPerBatch {
                try drop(&keys, by: session)
                try forget(&done)
            }
        }
        try drop(&keys, by: session)
        try forget(&done)
        return count
    }

    private func drop(_ keys: inout [Bytes], by session: Bytes) throws(StoreError) {
        guard !keys.isEmpty else { return }
        try store.drop(keys, by: session)
        metrics.add(.reapedBlocks, UInt64(keys.count))
        keys = []
    }

    private func forget(_ done: inout [GarbageItem]) throws(StoreError) {
        guard !done.isEmpty else { return }
        _ = try commitRaw(
            [], done.map { .removeMember(key: schema.garbage, name: $0.stored) })
        done = []
    }

    /// Drops the blocks at `from` and behind in every chunk that the hash names, then the hash.
    func dropChunks(
        of data: DataID, from: UInt64 = 0, keepsHash: Bool = false, by session: Bytes
    ) throws(StoreError) {
        let key = schema.chunks(data)
        var cursor: UInt64 = 0
        repeat {
            let answers = try store.read([
                .page(key: key, cursor: cursor, limit: Reaping.membersPerBatch)
            ])
            guard answers.count == 1, case .page(let next, let pairs) = answers[0] else {
                throw .protocolViolation("unexpected answer about chunks")
            }
            for pair in pairs {
                guard let chunk = Chunk(field: pair.field) else {
                    _ = malformed(key, "a chunk that is no number")
                    continue
                }
                var next = max(from, chunk.blocks.lowerBound)
                let end = chunk.blocks.upperBound
                while next < end {
                    let stop = min(end, next + UInt64(Reaping.keysPerTrip))
                    var keys = schema.blocks(of: data, next..<stop)
                    try drop(&keys, by: session)
                    next = stop
                }
            }
            cursor = next
        } while cursor != 0
        if !keepsHash { try store.drop([key], by: session) }
    }

    /// Whatever this session still has to reap; everything when it is the last one.
    func reapAtEnd() throws(StoreError) {
        try refreshMembership()
        let state = membership.state.withLock { $0 }
        guard state.isRegistered else { return }
        try reapOrphans(of: state.id)
        try reap(reaper.takeItems())
        for _ in 0..<RecordLimits.scans {
            if try scanGarbage(includingNotDue: state.others.isEmpty) == 0 { return }
        }
    }
}
