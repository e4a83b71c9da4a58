import FileSystem
import KeyValue
import Primitives

// The walk that counts: every block key, then every record and name.

extension VolumeCheck {
    /// Blocks that are read in one trip.
    private static let blocksPerTrip = 32

    func countBlocks(_ tables: inout CheckTables) throws(StoreError) {
        let total = tables.isFirst ? try reader.counter(Field.blocks) : nil
        var seen: UInt64 = 0
        try reader.scan(schema.blockKeyPrefix) { keys throws(StoreError) in
            var addresses: [BlockAddress] = []
            for key in keys {
                guard let address = schema.address(ofBlock: key) else {
                    if tables.isFirst { try findStranger(key) }
                    continue
                }
                addresses.append(address)
                let data = address.data.rawValue
                greatestNumber = max(greatestNumber, data)
                guard tables.contains(data) else { continue }
                tables.data[data, default: DataTally()].count += 1
                let last = tables.data[data]?.last ?? 0
                tables.data[data]?.last = max(last, address.index.rawValue)
            }
            guard tables.isFirst else { return }
            report.blocks += UInt64(addresses.count)
            if options.readsData { try readBlocks(addresses) }
            seen += UInt64(keys.count)
            tell(.blocks, seen, of: total)
        }
    }

    private func findStranger(_ key: Bytes) throws(StoreError) {
        try find(.unknownKey, key, "is no key of a volume", mending: nil)
    }

    private func readBlocks(_ addresses: [BlockAddress]) throws(StoreError) {
        let size = settings.blockSize.bytes
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: size * Self.blocksPerTrip, alignment: 64)
        defer { memory.deallocate() }
        for start in stride(from: 0, to: addresses.count, by: Self.blocksPerTrip) {
            let part = addresses[start..<min(start + Self.blocksPerTrip, addresses.count)]
            // SAFETY: each request has its own piece of `memory`, which outlives the call.
            let requests = part.enumerated().map { position, address in
                BlockRequest(
                    address: address,
                    memory: UnsafeMutableRawBufferPointer(
                        rebasing: memory[position * size..<(position + 1) * size]))
            }
            if try areReadable(requests) { continue }
            for request in requests where try !areReadable([request]) {
                let key = schema.block(request.address)
                // A mount may just have replaced it.
                guard try reader.existing([key]) == [true], try !areReadable([request]) else {
                    continue
                }
                try find(
                    .badBlock, key, "has no frame, checksum or content that can be right",
                    mending: [.delete(key: key)], publishing: [.everything])
            }
        }
    }

    /// Whether all of them can be read. Throws when the store does not answer.
    private func areReadable(_ requests: [BlockRequest]) throws(StoreError) -> Bool {
        do throws(Errno) {
            for block in try volume.loadFrames(requests) where block.header != nil {
                report.readBytes += UInt64(block.contentBytes)
            }
            return true
        } catch {
            // A store that does not answer is no damage: this throws.
            _ = try reader.counter(Field.format)
            return false
        }
    }

    func countRecords(_ tables: inout CheckTables) throws(StoreError) {
        let total = try reader.counter(Field.inodes)
        try reader.scan(schema.volume) { keys throws(StoreError) in
            var inodes: [InodeID] = []
            var attributes: [Bytes] = []
            var chunks: [Bytes] = []
            for key in keys {
                switch VolumeKey(key, schema) {
                case .inode(let inode): inodes.append(inode)
                case .directory(let inode): try countEntries(key, inode, &tables)
                case .xattrs(let inode):
                    attributes.append(key)
                    guard tables.contains(inode.rawValue) else { break }
                    tables.inodes[inode.rawValue, default: InodeTally()].flags
                        .insert(.hasAttributes)
                case .chunks(let data):
                    greatestNumber = max(greatestNumber, data.rawValue)
                    chunks.append(key)
                    guard tables.contains(data.rawValue) else { break }
                    tables.data[data.rawValue, default: DataTally()].hasChunks = true
                case .session(let session), .orphans(let session), .sessionLocks(let session):
                    greatestSession = max(greatestSession, session.rawValue)
                case .unknown: if tables.isFirst { try findStranger(key) }
                case .volume, .locks, .sessions, .crashed, .garbage: break
                }
            }
            try countInodes(inodes, &tables)
            if tables.isFirst {
                try judgeChunkHashes(chunks)
                for (key, isHash) in zip(attributes, try reader.areHashes(attributes)) where !isHash
                {
                    try find(.wrongKindOfKey, key, "is no hash", mending: [.delete(key: key)])
                }
            }
            if tables.isFirst { tell(.records, report.inodes, of: total) }
        }
    }

    private func countInodes(
        _ inodes: [InodeID], _ tables: inout CheckTables
    ) throws(StoreError) {
        let hashes = try reader.hashes(inodes.map { schema.inode($0) })
        var directories: [(InodeID, parent: InodeID)] = []
        for (inode, pairs) in zip(inodes, hashes) {
            let number = inode.rawValue
            greatestNumber = max(greatestNumber, number)
            // Gone since its key was seen.
            if pairs?.isEmpty == true { continue }
            if tables.isFirst { report.inodes += 1 }
            do throws(FormatError) {
                guard let pairs else { throw FormatError("no hash") }
                let record = try InodeRecord(parsing: pairs, id: inode)
                greatestNumber = max(greatestNumber, record.data.rawValue)
                if tables.contains(number) {
                    tables.inodes[number, default: InodeTally()].take(record)
                }
                if record.kind == .directory { directories.append((inode, record.parent)) }
            } catch {
                if tables.contains(number) {
                    tables.inodes[number, default: InodeTally()].flags.insert(.isDamaged)
                }
            }
            if let data = Self.data(pairs ?? []), tables.contains(data) {
                try own(data, inode, &tables)
            }
        }
        guard tables.isFirst else { return }
        report.directories += UInt64(directories.count)
        try climb(directories)
    }

    /// The data id, also of a record that cannot be read otherwise.
    private static func data(_ pairs: [Pair]) -> UInt64? {
        pairs.first { $0.field == Field.data }.flatMap { UInt64(decimal: $0.value) }
    }

    private func own(
        _ data: UInt64, _ inode: InodeID, _ tables: inout CheckTables
    ) throws(StoreError) {
        let owner = tables.data[data]?.owner ?? 0
        guard owner == 0 || owner == inode.rawValue else {
            return try find(
                .sharedData, schema.inode(inode), "has the data \(data) of inode \(owner)",
                mending: nil)
        }
        tables.data[data, default: DataTally()].owner = inode.rawValue
    }

    private func countEntries(
        _ key: Bytes, _ directory: InodeID, _ tables: inout CheckTables
    ) throws(StoreError) {
        if tables.contains(directory.rawValue) {
            tables.inodes[directory.rawValue, default: InodeTally()].flags.insert(.hasEntries)
        }
        let isHash = try reader.walk(key) { pairs throws(StoreError) in
            for pair in pairs {
                guard let entry = Self.entry(pair) else {
                    if tables.isFirst { try findUnreadable(pair, key, directory) }
                    continue
                }
                if tables.isFirst { report.entries += 1 }
                if tables.contains(entry.inode.rawValue) {
                    tables.inodes[entry.inode.rawValue, default: InodeTally()]
                        .take(entry, in: directory)
                }
                if entry.kind == .directory, tables.contains(directory.rawValue) {
                    tables.inodes[directory.rawValue, default: InodeTally()].subdirectories += 1
                }
            }
        }
        guard !isHash, tables.isFirst else { return }
        try find(
            .wrongKindOfKey, key, "is no hash", mending: [.delete(key: key)],
            publishing: [.everything])
    }

    /// `nil` for a name or a value that cannot be right.
    static func entry(_ pair: Pair) -> EntryValue? {
        let name = pair.field
        guard (1...FileName.maximumByteCount).contains(name.count),
            !name.contains(UInt8(ascii: "/")), !name.contains(0), name != [UInt8(ascii: ".")],
            name != Bytes("..".utf8)
        else { return nil }
        do throws(FormatError) {
            return try EntryValue(parsing: pair.value)
        } catch {
            return nil
        }
    }

    private func findUnreadable(
        _ pair: Pair, _ key: Bytes, _ directory: InodeID
    ) throws(StoreError) {
        let name = String(decoding: pair.field, as: UTF8.self)
        try find(
            .unreadableEntry, key, "'\(name)' has a name or a value that no entry has",
            [.fieldEquals(key: key, field: pair.field, value: pair.value)],
            mending: [.deleteFields(key: key, [pair.field])],
            publishing: [.attributes(directory)])
    }
}
