import Codecs
import FileSystem
import Primitives

/// What was last seen of inodes, so that an operation needs no trip to learn what a condition of its
/// batch checks anyway. Never a source of answers: only of beliefs.
final class KnownInodes: Sendable {
    struct Entry {
        var kind: FileKind
        var data: DataID
        /// A lower bound of what is stored: it only rises as long as `data` stays.
        var alloc: UInt64
        var dense: UInt64?
        var tail: TailState
        var size: UInt64
        var stored: UInt64
        var extender: SessionID
        var extenderCrashed: Bool
        var parent: InodeID
        /// The file's own, if it has one.
        var codec: Codec?
        /// Of what this mount stored.
        var compression = CompressionHistory()
        /// Some of the chunks that are registered.
        var chunks: Set<Chunk> = []
        private static let notedChunks = 64

        init(_ record: InodeRecord) {
            kind = record.kind
            data = record.data
            alloc = record.allocatedBlocks
            dense = record.denseBlocks
            tail = record.tail
            size = record.size
            stored = record.storedBlocks
            extender = record.extender
            extenderCrashed = record.extenderCrashed
            parent = record.parent
            codec = record.codec
        }

        mutating func note(chunks: Set<Chunk>) {
            guard !chunks.isEmpty else { return }
            if self.chunks.count + chunks.count > Self.notedChunks { self.chunks = [] }
            self.chunks.formUnion(chunks.prefix(Self.notedChunks))
        }

        var hasStaleTail: Bool { tail.isStale || extenderCrashed }
    }

    private struct Shard {
        var young: [UInt64: Entry] = [:]
        var old: [UInt64: Entry] = [:]
    }

    static let shardCount = 32
    /// Entries of one generation of one shard; two generations are kept: 16,384 inodes, about 3 MiB.
    static let generationLength = 256

    private let shards: [Box]

    private final class Box: Sendable {
        let shard = Locked(Shard())
    }

    init() { shards = (0..<Self.shardCount).map { _ in Box() } }

    /// Takes over what was read. That this mount itself left something behind the size is not in the
    /// store, so it is kept.
    func note(_ record: InodeRecord) {
        var entry = Entry(record)
        box(record.id).shard.withLock { shard in
            let before = shard.young[record.id.rawValue] ?? shard.old[record.id.rawValue]
            if let before, before.data == entry.data {
                entry.extenderCrashed = entry.extenderCrashed || before.extenderCrashed
                entry.chunks = before.chunks
                if entry.codec == before.codec { entry.compression = before.compression }
            }
            Self.put(&shard, record.id.rawValue, entry)
        }
    }

    func entry(_ id: InodeID) -> Entry? {
        box(id).shard.withLock { shard in
            if let entry = shard.young[id.rawValue] { return entry }
            guard let entry = shard.old[id.rawValue] else { return nil }
            Self.put(&shard, id.rawValue, entry)
            return entry
        }
    }

    func update(_ id: InodeID, _ body: (inout Entry) -> Void) {
        box(id).shard.withLock { shard in
            guard var entry = shard.young[id.rawValue] ?? shard.old[id.rawValue] else { return }
            body(&entry)
            Self.put(&shard, id.rawValue, entry)
        }
    }

    func forget(_ id: InodeID) {
        box(id).shard.withLock { shard in
            shard.young[id.rawValue] = nil
            shard.old[id.rawValue] = nil
        }
    }

    func forgetAll() {
        for box in shards { box.shard.withLock { $0 = Shard() } }
    }

    private static func put(_ shard: inout Shard, _ id: UInt64, _ entry: Entry) {
        if shard.young.count >= generationLength {
            // What only this mount knows stays, however long nobody asks.
            let kept = shard.old.filter { $0.value.extenderCrashed && shard.young[$0.key] == nil }
            shard.old = shard.young
            shard.young = kept
        }
        shard.young[id] = entry
    }

    private func box(_ id: InodeID) -> Box {
        shards[Int(truncatingIfNeeded: id.rawValue) & (Self.shardCount - 1)]
    }
}
