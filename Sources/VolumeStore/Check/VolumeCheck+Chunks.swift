import FileSystem
import KeyValue
import Primitives

// The chunks that sparse files have registered: what is stored in others would stay when its file goes.

extension VolumeCheck {
    /// Fields that one mending takes away; the next round finds the rest.
    private static let fieldsPerMending = 500

    /// Looks at hashes of chunks by themselves.
    func judgeChunkHashes(_ keys: [Bytes]) throws(StoreError) {
        for key in keys {
            var strange: [Bytes] = []
            let isHash = try reader.walk(key) { pairs throws(StoreError) in
                for pair in pairs where Chunk(field: pair.field) == nil {
                    strange.append(pair.field)
                }
            }
            guard isHash else {
                // What was registered is found by the blocks, in the next round.
                try find(
                    .wrongKindOfKey, key, "is no hash", mending: [.delete(key: key)],
                    publishing: [.everything])
                continue
            }
            guard !strange.isEmpty else { continue }
            try find(
                .unreadableChunks, key, "has \(strange.count) chunks that are no numbers",
                mending: [
                    .deleteFields(key: key, Array(strange.prefix(Self.fieldsPerMending)))
                ])
        }
    }

    /// A sparse file, as its record was read.
    struct SparseFile {
        var inode: InodeID
        var denseBlocks: UInt64
    }

    /// Looks for blocks of sparse files in chunks that are not registered. `files`: by data id. One walk
    /// over the blocks when there are any such files; a page of it in memory.
    func judgeRegistration(_ files: [UInt64: SparseFile]) throws(StoreError) {
        guard !files.isEmpty else { return }
        var judged: Set<Bytes> = []
        try reader.scan(schema.blockKeyPrefix) { keys throws(StoreError) in
            var met: [UInt64: [Chunk: UInt64]] = [:]
            for key in keys {
                guard let address = schema.address(ofBlock: key),
                    let file = files[address.data.rawValue],
                    address.index.rawValue >= file.denseBlocks
                else { continue }
                let chunk = Chunk(of: address.index.rawValue)
                met[address.data.rawValue, default: [:]][chunk] = address.index.rawValue
            }
            for (data, chunks) in met {
                guard let file = files[data] else { continue }
                try judge(file.inode, DataID(data), blocksByChunk: chunks, &judged)
            }
        }
    }

    private func judge(
        _ inode: InodeID, _ data: DataID, blocksByChunk: [Chunk: UInt64],
        _ judged: inout Set<Bytes>
    ) throws(StoreError) {
        let key = schema.chunks(data)
        let chunks = blocksByChunk.keys.sorted()
        let fields = chunks.map(\.field)
        // Another kind of key was found already.
        guard let answer = try reader.store.readEach([.fields(key: key, fields)])[0] else { return }
        guard case .values(let values) = answer else {
            throw .protocolViolation("unexpected answer about chunks")
        }
        for (position, value) in values.enumerated() where value == nil {
            let chunk = chunks[position]
            // A page can name a key that an earlier one named. A mount may have made the dense part longer,
            // or have given the file other data, since the record was read.
            guard let block = blocksByChunk[chunk],
                judged.insert(key + [UInt8(ascii: ":")] + fields[position]).inserted,
                let pairs = try reader.hashes([schema.inode(inode)])[0],
                let record = readable(pairs, inode), record.data == data,
                let dense = record.denseBlocks, dense <= block, try isStored(record, block)
            else { continue }
            try find(
                .unregisteredChunk, key,
                "has no chunk \(chunk.number), in which block \(block) of \(inode) is stored",
                [
                    dataCondition(record),
                    .fieldEquals(
                        key: schema.inode(inode), field: Field.dense,
                        value: Bytes(decimal: dense)),
                ],
                mending: [registering(data, block: block)],
                publishing: [.attributes(inode)])
        }
    }
}
