public import FileSystem
import KeyValue
public import Primitives

extension KeyspaceFileSystem {
    /// A place with what is there.
    struct Found {
        var place: Place
        /// `nil` for directories of keys and for `.updater`.
        var facts: PlaceFacts?
    }

    public func lookup(
        _ caller: Caller, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        let name = try checked(name)
        guard var found = try find(name, in: try inodes.inode(parent).place) else { throw .noEntry }
        if found.place == .updater { updateEverything() }
        found.facts = try sized([found.facts], at: [found.place])[0]
        return entry(found)
    }

    public func forget(_ inode: InodeID, count: UInt64) { inodes.forget(inode, count: count) }

    /// What a name in a directory is; `nil` when it is nothing. One round trip, unless it is not known which
    /// directories there are.
    func find(_ name: Bytes, in parent: Place) throws(Errno) -> Found? {
        switch parent {
        case .directory(let directory):
            return try find(naming.meaning(of: name, in: directory))
        case .hash(let key, let pending):
            guard let place = naming.meaning(of: name, inHash: key, pending: pending) else {
                return nil
            }
            if case .hash = place { return try exists(place) ? Found(place: place) : nil }
            return try store.facts(of: place).map { Found(place: place, facts: $0) }
        case .value, .field, .updater: throw .notDirectory
        }
    }

    /// What there is of what a name may stand for: a directory before a field before a key.
    private func find(_ meaning: KeyspaceNaming.Meaning) throws(Errno) -> Found? {
        if meaning.isUpdater { return Found(place: .updater) }
        if let place = meaning.continuation {
            return try exists(place) ? Found(place: place) : nil
        }
        if let directory = meaning.directory, try exists(.directory(directory)) {
            return Found(place: .directory(directory))
        }
        let key = meaning.key.flatMap { naming.shows($0) ? $0 : nil }
        let field = meaning.field.flatMap { naming.shows($0.key) ? $0 : nil }
        let fieldPlace = field.map { Place.field(key: $0.key, field: $0.field) }
        let keyPlace = key.map { Place.value(key: $0) }
        let facts = try store.facts(of: [fieldPlace, keyPlace].compactMap { $0 })
        if let fieldPlace, let found = facts[0] { return Found(place: fieldPlace, facts: found) }
        guard let key, let keyPlace, let found = facts[facts.count - 1] else {
            guard let key, index.isMade(.hash(key: key, pending: [])) else { return nil }
            return Found(place: .hash(key: key, pending: []))
        }
        if let directory = meaning.directory, index.isKeptFree(directory) { return nil }
        guard found.type == .hash else { return Found(place: keyPlace, facts: found) }
        guard naming.hashes == .directory else { return nil }
        return Found(place: .hash(key: key, pending: []), facts: found)
    }

    /// Whether a directory is there.
    func exists(_ place: Place) throws(Errno) -> Bool {
        if place == naming.root || index.isMade(place) { return true }
        switch place {
        case .directory(let directory) where directory.pending.isEmpty:
            return try index.contains(directory.prefix)
        case .directory, .hash:
            guard place.isContinuation else { return try store.facts(of: place) != nil }
            // A long name is there when something is listed behind it.
            let listing = KeyListing(place, self)
            return try listing.hasEntries()
        case .value, .field, .updater: return false
        }
    }

    // MARK: Answers

    /// The answer for something that was found; counts a reference.
    func entry(_ found: Found) -> EntryAnswer {
        let inode = inodes.refer(to: found.place)
        let answer = attributes(of: inode, found.facts)
        return EntryAnswer(
            attributes: answer.attributes,
            entryTimeoutSeconds: found.place == .updater ? 0 : options.entryTimeoutSeconds,
            attributesTimeoutSeconds: answer.timeoutSeconds)
    }
}

extension Place {
    /// Whether it is a directory in which a long name goes on.
    var isContinuation: Bool {
        switch self {
        case .directory(let directory): !directory.pending.isEmpty
        case .hash(_, let pending): !pending.isEmpty
        case .value, .field, .updater: false
        }
    }
}
