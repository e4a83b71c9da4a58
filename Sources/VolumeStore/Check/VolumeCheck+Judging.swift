import FileSystem
import KeyValue
import Primitives

// What did not add up is looked at again, exactly, and judged.

extension VolumeCheck {
    /// Inodes that one closer look takes in.
    private static let perLook = 20_000

    func judge(_ tables: inout CheckTables) throws(StoreError) {
        let before = round.count
        var suspects: [InodeID] = []
        for (number, tally) in tables.inodes {
            let isReferenced = references.inodes.contains(number) || references.isPartial
            if tally.isSuspicious(InodeID(number), isReferenced: isReferenced) {
                suspects.append(InodeID(number))
            }
        }
        suspects.sort()
        for start in stride(from: 0, to: suspects.count, by: Self.perLook) {
            let part = Array(suspects[start..<min(start + Self.perLook, suspects.count)])
            tell(.findings, UInt64(start), of: Int64(suspects.count))
            try lookCloser(part, tables)
        }
        try judgeData(tables)
        // Blocks that a damaged record may have been about are kept until it is mended.
        if round.count == before, report.unsettled == 0 { try judgeLeaks(tables) }
    }

    private func lookCloser(
        _ suspects: [InodeID], _ tables: CheckTables
    ) throws(StoreError) {
        listener.reset(at: UInt64(max(0, try reader.counter(Field.changes) ?? 0)))
        var looks = try readRecords(suspects)
        try collectNames(&looks)
        let held = try readReferences()
        let changes = try reader.counter(Field.changes) ?? 0
        let wasTouched = listener.wasTouched(upTo: UInt64(max(0, changes)))
        let judge = InodeJudge(schema: schema, blockSize: settings.blockSize, now: .now)
        for inode in suspects {
            guard var look = looks[inode] else { continue }
            guard !wasTouched(inode) else {
                report.unsettled += 1
                continue
            }
            look.isReferenced = held.inodes.contains(inode.rawValue) || held.isPartial
            if let tally = tables.data[inode.rawValue], tally.owner == 0, tally.count > 0 {
                look.unownedBlocks = tally.last + 1
            }
            for verdict in judge.judge(look) { try find(verdict) }
        }
    }

    private func readRecords(
        _ suspects: [InodeID]
    ) throws(StoreError) -> [InodeID: InodeLook] {
        var looks: [InodeID: InodeLook] = [:]
        let hashes = try reader.hashes(suspects.map { schema.inode($0) })
        for (inode, pairs) in zip(suspects, hashes) {
            var look = InodeLook(inode: inode)
            if let pairs {
                do throws(FormatError) {
                    if !pairs.isEmpty {
                        look.record = .readable(try InodeRecord(parsing: pairs, id: inode))
                    }
                } catch {
                    look.record = .unreadable(pairs, error)
                }
            } else {
                look.record = .wrongKind
            }
            looks[inode] = look
        }
        for start in stride(from: 0, to: suspects.count, by: CheckReader.recordsPerTrip) {
            let part = suspects[start..<min(start + CheckReader.recordsPerTrip, suspects.count)]
            let found = try reader.existing(
                part.flatMap { [schema.directory($0), schema.xattrs($0)] })
            for (position, inode) in part.enumerated() {
                looks[inode]?.hasEntries = found[2 * position]
                looks[inode]?.hasAttributes = found[2 * position + 1]
            }
        }
        return looks
    }

    private func collectNames(_ looks: inout [InodeID: InodeLook]) throws(StoreError) {
        try reader.scan(schema.volume + [UInt8(ascii: "d")]) { keys throws(StoreError) in
            for key in keys {
                guard case .directory(let directory) = VolumeKey(key, schema) else { continue }
                _ = try reader.walk(key) { pairs throws(StoreError) in
                    for pair in pairs {
                        guard let entry = Self.entry(pair) else { continue }
                        Self.note(pair.field, entry, in: directory, &looks)
                    }
                }
            }
        }
    }

    private static func note(
        _ name: Bytes, _ entry: EntryValue, in directory: InodeID,
        _ looks: inout [InodeID: InodeLook]
    ) {
        if entry.kind == .directory, looks[directory] != nil {
            looks[directory]?.subdirectories.insert(name)
        }
        guard let look = looks[entry.inode] else { return }
        let found = InodeLook.Name(directory: directory, name: name, entry: entry)
        guard !look.names.contains(found) else { return }
        if look.names.count < InodeLook.maximumNames {
            looks[entry.inode]?.names.insert(found)
        } else {
            looks[entry.inode]?.surplusNames += 1
        }
    }

    // MARK: The tree

    /// The longest way up that is followed; more is a cycle (no path is that long).
    private static let maximumDepth = 100_000
    /// Directories that are remembered as connected.
    private static let maximumReachable = 2_000_000

    /// Follows `p` from each directory up to the root. A way that does not end there but in itself is a
    /// cycle: it is cut where its lowest number is. A way that ends in nothing is judged by its names.
    func climb(_ directories: [(InodeID, parent: InodeID)]) throws(StoreError) {
        if reachable.count > Self.maximumReachable { reachable = [InodeID.root.rawValue] }
        for (directory, parent) in directories {
            var way = [directory.rawValue]
            var place = parent.rawValue
            while !reachable.contains(place), place != 0, way.count < Self.maximumDepth {
                if let start = way.firstIndex(of: place) {
                    try cut(Array(way[start...]))
                    break
                }
                way.append(place)
                place = try parentNumber(of: place)
            }
            if reachable.contains(place) { reachable.formUnion(way) }
        }
    }

    private func parentNumber(of directory: UInt64) throws(StoreError) -> UInt64 {
        let key = schema.inode(InodeID(directory))
        guard let pairs = try reader.hashes([key])[0] else { return 0 }
        return pairs.first { $0.field == Field.parent }.flatMap { UInt64(decimal: $0.value) } ?? 0
    }

    /// Each of `cycle` is in the next, the last in the first. The batch holds all of that to be so.
    private func cut(_ cycle: [UInt64]) throws(StoreError) {
        guard let lowest = cycle.min(), let position = cycle.firstIndex(of: lowest) else { return }
        let parent = InodeID(cycle[(position + 1) % cycle.count])
        let key = schema.inode(InodeID(lowest))
        guard let pairs = try reader.hashes([key])[0] else { return }
        let record: InodeRecord
        do throws(FormatError) {
            record = try InodeRecord(parsing: pairs, id: InodeID(lowest))
        } catch {
            return
        }
        var names: [Pair] = []
        _ = try reader.walk(schema.directory(parent)) { page throws(StoreError) in
            names += page.filter { Self.entry($0)?.inode.rawValue == lowest }
        }
        let conditions = cycle.indices.map { index in
            Condition.fieldEquals(
                key: schema.inode(InodeID(cycle[index])), field: Field.parent,
                value: Bytes(decimal: cycle[(index + 1) % cycle.count]))
        }
        var isMended = false
        if options.repairs {
            let directory = schema.directory(parent)
            let removal: [Mutation] =
                names.isEmpty
                ? [] : [.deleteFields(key: directory, names.map(\.field))]
            isMended = try attach(record, conditions, after: removal)
        }
        note(
            .directoryCycle, key, "is below itself, by \(cycle.count) directories",
            options.repairs ? (isMended ? .mended : .left) : .found)
        reachable.formUnion(cycle)
    }
}
