import FileSystem
import KeyValue
import Primitives
import Redis

/// Produces the entries of a directory, page by page: from the keys that are known, where they are, else with
/// SCAN. Used by one thread at a time.
final class KeyListing {
    private enum Stage {
        case made
        case scan(cursor: UInt64)
        /// What is known, then what was changed since.
        case known(KnownKeys.Snapshot, KeyTree.Position)
        case changed(ArraySlice<Bytes>)
        case done
    }

    /// A hash with at most so many fields is asked for all their names at once.
    private static let fewFields = 1_000

    private let fileSystem: KeyspaceFileSystem
    private let place: Place
    private var stage = Stage.made
    /// Hashes with many fields, of which the rest has to be shown.
    private var hashes: [(key: Bytes, cursor: UInt64)] = []
    /// Whether any key of this directory was seen.
    private var hasSeenKeys = false

    private var naming: KeyspaceNaming { fileSystem.naming }
    private var store: KeyStore { fileSystem.store }

    init(_ place: Place, _ fileSystem: KeyspaceFileSystem) {
        self.place = place
        self.fileSystem = fileSystem
    }

    /// Whether there is anything at all.
    func hasEntries() throws(Errno) -> Bool {
        while let entries = try next() {
            if !entries.isEmpty { return true }
        }
        return false
    }

    /// The next entries, which may be none; `nil` at the end. The same entry may come more than once.
    func next() throws(Errno) -> [ListedEntry]? {
        // What a page of keys has left over comes before the next one.
        if let (key, cursor) = hashes.popLast() { return try moreFields(of: key, cursor) }
        switch stage {
        case .made:
            stage = .scan(cursor: 0)
            // Names depend on which directories there are.
            if case .directory(let directory) = place,
                let known = try fileSystem.index.knownKeys()
            {
                stage = .known(known, known.tree.beginning(of: directory.prefix))
            }
            return try madeEntries()
        case .scan(let cursor): return try scan(cursor)
        case .known(let known, let position): return try entries(of: known, from: position)
        case .changed(let keys): return try entries(ofChanged: keys)
        case .done:
            forgetIfEmpty()
            return nil
        }
    }

    private func madeEntries() throws(Errno) -> [ListedEntry] {
        var entries: [ListedEntry] = []
        for made in fileSystem.index.made(in: place) {
            let full: Bytes
            switch (made, place) {
            case (.directory(let directory), .directory(let parent)):
                full =
                    directory.pending.isEmpty
                    ? naming.name(of: directory, in: parent.prefix) : directory.pending
            case (.hash(let key, let pending), .directory(let parent)):
                full = pending.isEmpty ? try hashName(key, parent.prefix) : pending
            case (.hash(_, let pending), .hash): full = pending
            default: continue
            }
            if made.isContinuation {
                let outer = full.dropFirst(pending.count)
                entries.append(ListedEntry(name: Bytes(outer) + NameMark.more, place: made))
            } else if let entry = entry(full, made) {
                entries.append(entry)
            }
        }
        return entries
    }

    /// What of the names here stands in the directories above.
    private var pending: Bytes {
        switch place {
        case .directory(let directory): directory.pending
        case .hash(_, let pending): pending
        case .value, .field, .updater: []
        }
    }

    /// The entry for something of this full name: itself, or a directory in which its name goes on.
    private func entry(_ full: Bytes, _ target: Place) -> ListedEntry? {
        switch naming.piece(of: full, behind: pending) {
        case .last(let name): return ListedEntry(name: name, place: target)
        case .more(let name):
            let behind = pending + name.dropLast(NameMark.more.count)
            switch place {
            case .directory(let directory):
                return ListedEntry(
                    name: name,
                    place: .directory(DirectoryPlace(prefix: directory.prefix, pending: behind)))
            case .hash(let key, _):
                return ListedEntry(name: name, place: .hash(key: key, pending: behind))
            case .value, .field, .updater: return nil
            }
        case nil: return nil
        }
    }

    // MARK: Keys

    private func scan(_ cursor: UInt64) throws(Errno) -> [ListedEntry] {
        guard case .directory(let directory) = place else {
            stage = .done
            guard case .hash(let key, _) = place else { return [] }
            return try firstFields(of: [key]) ?? []
        }
        let prefix = directory.prefix
        let page = try store.scan(cursor, matching: fileSystem.index.pattern(for: prefix))
        stage = page.next == 0 ? .done : .scan(cursor: page.next)
        let keys = page.items.filter { $0.starts(with: prefix) && naming.shows($0) }
        return try entries(ofExisting: keys, in: prefix)
    }

    /// As keys of the directory, or as directories in it.
    private func entries(
        ofExisting keys: [Bytes], in prefix: Bytes
    ) throws(Errno) -> [ListedEntry] {
        var below: Set<DirectoryPlace> = []
        var here: [Bytes] = []
        for key in keys {
            switch naming.appearance(of: key, in: prefix) {
            case .here: here.append(key)
            case .below(let directory): below.insert(directory)
            }
        }
        for directory in below { fileSystem.index.noteDirectory(directory.prefix) }
        return try entries(here, below.map(\.prefix), in: prefix)
    }

    private func entries(
        _ here: [Bytes], _ below: [Bytes], in prefix: Bytes
    ) throws(Errno) -> [ListedEntry] {
        hasSeenKeys = hasSeenKeys || !here.isEmpty || !below.isEmpty
        let directories = below.compactMap { prefixBelow in
            let directory = DirectoryPlace(prefix: prefixBelow)
            return entry(naming.name(of: directory, in: prefix), .directory(directory))
        }
        return directories + (try entries(for: here, in: prefix))
    }

    // MARK: Keys that are known

    private static let pageRecords = 1_000

    private func entries(
        of known: KnownKeys.Snapshot, from position: KeyTree.Position
    ) throws(Errno) -> [ListedEntry] {
        guard case .directory(let directory) = place else { return [] }
        let prefix = directory.prefix
        let page = known.tree.page(of: prefix, from: position, count: Self.pageRecords)
        if let next = page.next {
            stage = .known(known, next)
        } else {
            stage = .changed(known.changed(below: prefix)[...])
        }
        let here = page.keys.filter { !known.changed.contains($0) }
        // Where only changed keys are left, they are asked for below.
        let below = page.directories.filter { below in
            known.tree.firstKey(below: below, without: known.changed) != nil
        }
        return try entries(here, below, in: prefix)
    }

    /// Keys of which nothing is known but that something happened to them.
    private func entries(ofChanged keys: ArraySlice<Bytes>) throws(Errno) -> [ListedEntry] {
        let some = keys.prefix(Self.pageRecords)
        let rest = keys.dropFirst(some.count)
        stage = rest.isEmpty ? .done : .changed(rest)
        guard case .directory(let directory) = place else { return [] }
        return try entries(ofExisting: try store.existing(Array(some)), in: directory.prefix)
    }

    /// Keys that show by themselves. Their types are asked for, and whether a field has the name of one that
    /// has a dot.
    private func entries(for keys: [Bytes], in prefix: Bytes) throws(Errno) -> [ListedEntry] {
        guard !keys.isEmpty else { return [] }
        let rivals = keys.map { naming.rival(of: $0, in: prefix) }
        var commands = keys.map { RedisCommand("TYPE", $0) }
        for case let rival? in rivals {
            commands.append(RedisCommand("HEXISTS", rival.key, rival.field))
        }
        let replies = try store.perform(commands, isBulky: true)
        var answers = replies[keys.count...]
        var entries: [ListedEntry] = []
        var hashes: [Bytes] = []
        for (index, key) in keys.enumerated() {
            let isRivalled = rivals[index] != nil && answers.popFirst() == .integer(1)
            // `nil`: gone since the page was made.
            guard let type = try store.type(replies[index]) else { continue }
            guard type == .hash else {
                let name = try valueName(key, prefix, isRivalled: isRivalled)
                if let entry = entry(name, .value(key: key)) { entries.append(entry) }
                continue
            }
            if naming.hashes == .fields {
                hashes.append(key)
            } else if let entry = entry(try hashName(key, prefix), .hash(key: key, pending: [])) {
                entries.append(entry)
            }
        }
        return entries + (try firstFields(of: hashes) ?? [])
    }

    private func valueName(
        _ key: Bytes, _ prefix: Bytes, isRivalled: Bool
    ) throws(Errno) -> Bytes {
        let plain = naming.name(of: key, in: prefix, isRivalled: isRivalled)
        return naming.name(
            of: key, in: prefix, isRivalled: isRivalled,
            isAlsoDirectory: try isDirectory(plain, prefix))
    }

    private func hashName(_ key: Bytes, _ prefix: Bytes) throws(Errno) -> Bytes {
        try valueName(key, prefix, isRivalled: false)
    }

    /// Whether a directory of keys has this name.
    private func isDirectory(_ name: Bytes, _ prefix: Bytes) throws(Errno) -> Bool {
        guard let directory = naming.directory(named: name, in: prefix) else { return false }
        let index = fileSystem.index
        if index.isMade(.directory(directory)) || index.isKeptFree(directory) { return true }
        guard index.knows(directory.prefix) else { return false }
        if try index.stillKnows(directory.prefix) { return true }
        // The kernel may know the name as that of a directory.
        fileSystem.doubt(.directory(directory))
        return false
    }

    // MARK: Fields

    /// The fields of hashes that have few, and the beginning of the others.
    private func firstFields(of keys: [Bytes]) throws(Errno) -> [ListedEntry]? {
        guard !keys.isEmpty else { return nil }
        let lengths = try store.perform(keys.map { RedisCommand("HLEN", $0) }, isBulky: true)
        var few: [Bytes] = []
        for (key, length) in zip(keys, lengths) {
            // Of another type by now.
            if length.failure == .wrongKind { continue }
            if try store.integer(length) <= Int64(Self.fewFields) {
                few.append(key)
            } else {
                hashes.append((key, 0))
            }
        }
        let names = try store.perform(few.map { RedisCommand("HKEYS", $0) }, isBulky: true)
        var entries: [ListedEntry] = []
        for (key, reply) in zip(few, names) {
            if reply.failure == .wrongKind { continue }
            entries += try self.entries(for: try store.texts(try store.checked(reply)), of: key)
        }
        return entries
    }

    private func moreFields(of key: Bytes, _ cursor: UInt64) throws(Errno) -> [ListedEntry] {
        let page = try store.fields(of: key, cursor)
        if page.next != 0 { hashes.append((key, page.next)) }
        return try entries(for: page.items, of: key)
    }

    private func entries(
        for fields: [Bytes], of key: Bytes
    ) throws(Errno) -> [ListedEntry] {
        var entries: [ListedEntry] = []
        for field in fields {
            let name: Bytes
            switch place {
            case .directory(let directory):
                let plain = naming.name(of: field, ofHash: key, in: directory.prefix)
                name = naming.name(
                    of: field, ofHash: key, in: directory.prefix,
                    isAlsoDirectory: try isDirectory(plain, directory.prefix))
            case .hash: name = naming.name(of: field)
            case .value, .field, .updater: return []
            }
            if let entry = entry(name, .field(key: key, field: field)) { entries.append(entry) }
        }
        return entries
    }

    /// A directory of which nothing is left is not one any more.
    private func forgetIfEmpty() {
        guard !hasSeenKeys, case .directory(let directory) = place, directory.pending.isEmpty,
            directory.prefix != naming.rootPrefix
        else { return }
        fileSystem.index.forget(directory.prefix)
        if !fileSystem.index.isMade(place) { fileSystem.doubt(place) }
    }
}
