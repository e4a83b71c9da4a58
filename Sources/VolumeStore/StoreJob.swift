import Codecs
import KeyValue
import Primitives
import Telemetry

/// One call of `VolumeStore.store` while it is carried out.
struct StoreJob {
    /// One changed block.
    struct Block {
        var decision = BlockDecision.merge
        var form = StoredForm.unknown
        var isDone = false
        /// Whether it is believed to be absent before.
        var isCreation = false
        /// What the store said of that.
        var wasCreated: Bool?
        /// Of the frame that was loaded for merging; `nil`: absent.
        var mergedHeader: InlineBlockHeader?
        var mergedForm = StoredForm.unknown
        var mergedBytes = 0
        /// Holds the merged block.
        var merged: UnsafeMutableRawBufferPointer?
        /// Holds the compressed payload, if `packing` says that there is one.
        var packed: UnsafeMutableRawBufferPointer?
        var packing: BlockPacking.Packed?
    }

    let inode: InodeID
    let data: DataID
    var changes: [BlockChange]
    let commit: SizeCommit?
    var blocks: [Block]
    /// Which block each write of the last `makeWrites` belongs to.
    private var owners: [Int] = []
    var extends = false
    var allocBefore: UInt64 = 0
    /// Set when the file was cut between the caller's write and this store.
    var minimumSize: UInt64?
    var isRepeated = false
    /// What blocks that are stored whole are compressed with.
    var codec = Codec.none
    var compression = CompressionHistory()

    init(inode: InodeID, data: DataID, changes: [BlockChange], commit: SizeCommit?) {
        self.inode = inode
        self.data = data
        self.changes = changes
        self.commit = commit
        blocks = Array(repeating: Block(), count: changes.count)
    }

    /// The byte behind the last dirty one; `nil` without changes.
    func dirtyEnd(_ blockSize: BlockSize) -> UInt64? {
        changes.map {
            $0.address.index.rawValue * UInt64(blockSize.bytes) + UInt64($0.dirtyEnd)
        }.max()
    }

    var newSize: UInt64? {
        guard let minimumSize else { return commit?.size }
        return max(minimumSize, commit?.size ?? 0)
    }

    var forms: [StoredForm] { blocks.map(\.form) }

    var assumedCreations: Int {
        blocks.count { $0.isCreation && $0.decision != .skip }
    }

    var actualCreations: Int {
        blocks.count { ($0.wasCreated ?? $0.isCreation) && $0.decision != .skip }
    }

    var announcements: [RemoteChange] {
        var result: [RemoteChange] = [.attributes(inode)]
        if let first = changes.map(\.address.index.rawValue).min(),
            let last = changes.map(\.address.index.rawValue).max()
        {
            result.append(.data(inode, data, blocks: first..<last + 1))
        }
        return result
    }

    mutating func decide(_ circumstances: StoreCircumstances) {
        for position in blocks.indices {
            blocks[position].decision = circumstances.decide(changes[position])
        }
    }

    /// Nothing that was found out holds any more.
    mutating func startAgain() {
        isRepeated = true
        for position in blocks.indices {
            blocks[position].isDone = false
            blocks[position].wasCreated = nil
            changes[position].form = .unknown
        }
    }

    var positionsToMerge: [Int] {
        blocks.indices.filter { blocks[$0].decision == .merge && !blocks[$0].isDone }
    }

    mutating func buffer(
        for position: Int, from scratch: ScratchPool
    ) -> UnsafeMutableRawBufferPointer {
        let buffer = blocks[position].merged ?? scratch.take()
        blocks[position].merged = buffer
        return buffer
    }

    /// Lays the dirty bytes over what was loaded into the block's buffer.
    mutating func merge(_ loaded: VolumeStore.LoadedBlock, at position: Int) {
        guard let merged = blocks[position].merged else {
            preconditionFailure("a block is merged in its buffer")
        }
        blocks[position].mergedHeader = loaded.header
        blocks[position].mergedForm = loaded.form
        blocks[position].mergedBytes = max(loaded.contentBytes, changes[position].dirtyEnd)
        for range in changes[position].ranges {
            // SAFETY: ranges lie within the block, and both memories have one block size.
            UnsafeMutableRawBufferPointer(rebasing: merged[range]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: changes[position].memory[range]))
        }
    }

    /// The writes of the blocks that are not done.
    mutating func makeWrites(_ volume: VolumeStore) -> [BlockWrite] {
        pack(volume)
        var writes: [BlockWrite] = []
        owners = []
        for position in blocks.indices where !blocks[position].isDone {
            let before = writes.count
            add(position, volume, &writes)
            owners += Array(repeating: position, count: writes.count - before)
        }
        return writes
    }

    private mutating func add(
        _ position: Int, _ volume: VolumeStore, _ writes: inout [BlockWrite]
    ) {
        let change = changes[position]
        let key = volume.schema.block(change.address)
        let raw = BlockFrame.raw(epoch: volume.settings.epoch).header
        switch blocks[position].decision {
        case .skip: blocks[position].form = .absent
        case .patch, .patchMatching: addPatches(position, key, raw, &writes)
        case .replace, .replaceAbsent, .merge:
            guard let content = content(position) else {
                // Raw after all: its other bytes may be patched at any time, so they are left alone.
                addPatches(position, key, raw, &writes)
                return
            }
            let (header, payload) = frame(position, content, volume)
            let kind: BlockWrite.Kind =
                switch blocks[position].decision {
                case .replaceAbsent: .replaceMatching(header: header, expected: nil)
                case .merge:
                    .replaceMatching(header: header, expected: blocks[position].mergedHeader)
                default: .replace(header: header)
                }
            writes.append(BlockWrite(key: key, kind: kind, payload: payload))
        }
    }

    /// What replaces the block whole; `nil` when nothing does.
    private func content(_ position: Int) -> UnsafeRawBufferPointer? {
        switch blocks[position].decision {
        case .skip, .patch, .patchMatching: nil
        case .replace(let bytes), .replaceAbsent(let bytes):
            UnsafeRawBufferPointer(rebasing: changes[position].memory[..<bytes])
        case .merge:
            blocks[position].mergedForm == .raw
                ? nil
                : blocks[position].merged.map {
                    UnsafeRawBufferPointer(rebasing: $0[..<blocks[position].mergedBytes])
                }
        }
    }

    /// Compresses what is about to be stored whole, where that may pay.
    private mutating func pack(_ volume: VolumeStore) {
        let settings = volume.settings
        guard codec != .none else { return }
        var packing = BlockPacking()
        var tried: [Int] = []
        for position in blocks.indices where !blocks[position].isDone {
            blocks[position].packing = nil
            guard let content = content(position),
                content.count >= max(1, settings.compressionThresholdBytes)
            else { continue }
            guard compression.shouldTry() else {
                volume.metrics.add(.blocksNotTried)
                continue
            }
            let buffer = blocks[position].packed ?? volume.scratch.take()
            blocks[position].packed = buffer
            packing.add(content, into: buffer)
            tried.append(position)
        }
        for (position, packed) in zip(tried, packing.run(codec, volume.packers)) {
            blocks[position].packing = packed
            compression.note(shrank: packed != nil)
            volume.metrics.add(packed == nil ? .blocksIncompressible : .blocksCompressed)
        }
    }

    private mutating func addPatches(
        _ position: Int, _ key: Bytes, _ raw: InlineBlockHeader, _ writes: inout [BlockWrite]
    ) {
        blocks[position].form = .raw
        let isPlain = blocks[position].decision == .patch
        for range in changes[position].ranges {
            writes.append(
                BlockWrite(
                    key: key,
                    kind: isPlain
                        ? .patch(offset: range.lowerBound)
                        : .patchMatching(
                            header: raw, comparing: BlockFrame.comparedBytes,
                            offset: range.lowerBound),
                    payload: UnsafeRawBufferPointer(
                        rebasing: changes[position].memory[range])))
        }
    }

    /// The frame of `content`, compressed if `pack` did so.
    private mutating func frame(
        _ position: Int, _ content: UnsafeRawBufferPointer, _ volume: VolumeStore
    ) -> (InlineBlockHeader, UnsafeRawBufferPointer) {
        let settings = volume.settings
        guard let packing = blocks[position].packing, let buffer = blocks[position].packed else {
            blocks[position].form = .raw
            return (BlockFrame.raw(epoch: settings.epoch).header, content)
        }
        blocks[position].form = .packed
        let packed = BlockFrame.packed(
            codec: codec.identifier, originalBytes: content.count,
            checksum: packing.checksum, epoch: settings.epoch)
        return (packed.header, UnsafeRawBufferPointer(rebasing: buffer[..<packing.length]))
    }

    /// Notes what became of the writes. Returns `false` when blocks were in conflict: those are merged
    /// next.
    mutating func take(_ results: [StoreOutcome.Write]) -> Bool {
        var conflicts = Set<Int>()
        for (position, result) in zip(owners, results) {
            switch result {
            case .conflict: conflicts.insert(position)
            case .stored(let created):
                // Of several patches, the first one made the block.
                if let created {
                    blocks[position].wasCreated = created || blocks[position].wasCreated == true
                }
            }
        }
        for position in blocks.indices { blocks[position].isDone = true }
        for position in conflicts {
            blocks[position].isDone = false
            blocks[position].decision = .merge
        }
        return conflicts.isEmpty
    }

    mutating func release(to scratch: ScratchPool) {
        for position in blocks.indices {
            if let buffer = blocks[position].merged { scratch.giveBack(buffer) }
            if let buffer = blocks[position].packed { scratch.giveBack(buffer) }
            blocks[position].merged = nil
            blocks[position].packed = nil
        }
    }
}
