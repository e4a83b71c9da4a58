import FileSystem
import KeyValue

/// Which name each key has and which keys a name may stand for. Pure: whether a key is there, and of which
/// type, is asked by whoever calls.
struct KeyspaceNaming: Sendable {
    let separator: UInt8
    let rootPrefix: Bytes
    let pattern: Bytes?
    let depth: Int
    let hashes: KeyspaceOptions.Hashes

    /// For what a separator still divides.
    private let parts: NameCoding
    /// For what none divides: fields, and keys below the deepest level.
    private let whole = NameCoding(separator: nil)

    static let updaterName = Bytes(".updater".utf8)
    private static let dot = UInt8(ascii: ".")
    /// A name that is too long goes on in a directory after this many bytes.
    static let pieceBytes = 240

    init(_ options: KeyspaceOptions) {
        separator = options.separator
        rootPrefix = options.prefix
        pattern = options.pattern
        depth = options.depth
        hashes = options.hashes
        parts = NameCoding(separator: options.separator)
    }

    var root: Place { .directory(DirectoryPlace(prefix: rootPrefix)) }

    /// Whether the view shows the key at all.
    func shows(_ key: Bytes) -> Bool {
        guard key.starts(with: rootPrefix) else { return false }
        return pattern.map { Glob.matches(key, $0) } ?? true
    }

    // MARK: From names to keys

    /// What a name in a directory may stand for.
    struct Meaning: Equatable {
        /// A directory in which a long name goes on: nothing else is possible.
        var continuation: Place?
        var isUpdater = false
        /// Directories are out of the question: the name says that the key itself is meant.
        var isItself = false
        /// The key of a value, or of a hash that is shown as a directory.
        var key: Bytes?
        var field: FieldName?
        var directory: DirectoryPlace?

        var isEmpty: Bool {
            continuation == nil && !isUpdater && key == nil && field == nil && directory == nil
        }
    }

    struct FieldName: Hashable {
        var key: Bytes
        var field: Bytes
    }

    func meaning(of name: Bytes, in place: DirectoryPlace) -> Meaning {
        var meaning = Meaning()
        let full = place.pending + name
        if place.prefix == rootPrefix, full == Self.updaterName {
            meaning.isUpdater = true
            return meaning
        }
        if let body = full.without(mark: NameMark.more) {
            // A name goes on behind something: without that it would be its own directory.
            guard body.count > place.pending.count else { return meaning }
            meaning.continuation = .directory(
                DirectoryPlace(prefix: place.prefix, pending: body))
            return meaning
        }
        let body = full.without(mark: NameMark.value)
        meaning.isItself = body != nil
        let text = body ?? full
        let coding = coding(below: place.prefix)
        if let part = coding.part(of: text) {
            meaning.key = place.prefix + part
            if !meaning.isItself, level(of: place.prefix) < depth {
                meaning.directory = DirectoryPlace(prefix: place.prefix + part + [separator])
            }
        }
        if hashes == .fields, let dot = Self.fieldDot(text),
            let stem = coding.part(of: Bytes(text[..<dot])),
            let field = field(ofName: Bytes(text[(dot + 1)...]))
        {
            meaning.field = FieldName(key: place.prefix + stem, field: field)
        }
        return meaning
    }

    /// What a name in a hash that is a directory stands for.
    func meaning(of name: Bytes, inHash key: Bytes, pending: Bytes) -> Place? {
        let full = pending + name
        if let body = full.without(mark: NameMark.more) {
            return body.count > pending.count ? .hash(key: key, pending: body) : nil
        }
        return whole.part(of: full).map { .field(key: key, field: $0) }
    }

    /// Where a name is cut into key and field: its first dot that is not its first byte.
    static func fieldDot(_ name: Bytes) -> Int? { name.dropFirst().firstIndex(of: dot) }

    /// The hash and field whose name a key would take if the field were there.
    func rival(of key: Bytes, in prefix: Bytes) -> FieldName? {
        guard hashes == .fields else { return nil }
        return meaning(of: plainName(of: key, in: prefix), in: DirectoryPlace(prefix: prefix)).field
    }

    private func field(ofName name: Bytes) -> Bytes? {
        name.isEmpty ? [] : whole.part(of: name)
    }

    // MARK: From keys to names

    /// How a key shows in the directory of `prefix`, with which it begins.
    enum Appearance: Equatable {
        /// As a directory, of the keys that begin so.
        case below(DirectoryPlace)
        /// By itself.
        case here
    }

    func appearance(of key: Bytes, in prefix: Bytes) -> Appearance {
        guard level(of: prefix) < depth,
            let end = key[prefix.count...].firstIndex(of: separator)
        else { return .here }
        return .below(DirectoryPlace(prefix: Bytes(key[...end])))
    }

    /// The name of a key in the directory of `prefix`, as long as it may be, while nothing else has it.
    func plainName(of key: Bytes, in prefix: Bytes) -> Bytes {
        coding(below: prefix).name(of: Bytes(key[prefix.count...]))
    }

    /// The name of a key that has to give way: to a field of the same name (`isRivalled`), to a directory
    /// of keys below it (`isAlsoDirectory`), to `.updater`.
    func name(
        of key: Bytes, in prefix: Bytes, isRivalled: Bool = false, isAlsoDirectory: Bool = false
    ) -> Bytes {
        let part = Bytes(key[prefix.count...])
        let name =
            isRivalled && !part.isEmpty
            ? coding(below: prefix).name(of: part, escapingDots: true)
            : plainName(of: key, in: prefix)
        let isReserved = prefix == rootPrefix && name == Self.updaterName
        return isAlsoDirectory || isReserved ? name + NameMark.value : name
    }

    /// The name of a field of a hash in the directory of `prefix`.
    func name(
        of field: Bytes, ofHash key: Bytes, in prefix: Bytes, isAlsoDirectory: Bool = false
    ) -> Bytes {
        let stem = coding(below: prefix).name(of: Bytes(key[prefix.count...]), escapingDots: true)
        let name = stem + [Self.dot] + (field.isEmpty ? [] : fieldText(field))
        let isReserved = prefix == rootPrefix && name == Self.updaterName
        return isAlsoDirectory || isReserved ? name + NameMark.value : name
    }

    /// The name of a field in the directory of its hash.
    func name(of field: Bytes) -> Bytes { whole.name(of: field) }

    /// Behind a dot `.` and `..` need no escape.
    private func fieldText(_ field: Bytes) -> Bytes {
        field.allSatisfy { $0 == Self.dot } ? field : whole.name(of: field)
    }

    /// The name of a directory in the one above it.
    func name(of directory: DirectoryPlace, in prefix: Bytes) -> Bytes {
        parts.name(of: Bytes(directory.prefix[prefix.count...].dropLast()))
    }

    /// The directory that a name as long as `name` leads through would be: the prefixes of all keys that a
    /// directory of that name would hold.
    func directory(named name: Bytes, in prefix: Bytes) -> DirectoryPlace? {
        guard level(of: prefix) < depth, let part = parts.part(of: name) else { return nil }
        return DirectoryPlace(prefix: prefix + part + [separator])
    }

    // MARK: Long names

    enum Piece: Equatable {
        /// The rest of the name, which fits.
        case last(Bytes)
        /// A directory of this name, in which it goes on.
        case more(Bytes)
    }

    /// The piece of a name behind `pending` bytes of it; `nil` when it is not cut there.
    func piece(of name: Bytes, behind pending: Bytes) -> Piece? {
        guard name.starts(with: pending) else { return nil }
        var start = 0
        while start < pending.count {
            guard name.count - start > FileName.maximumByteCount else { return nil }
            start = cut(name, from: start)
        }
        guard start == pending.count else { return nil }
        guard name.count - start > FileName.maximumByteCount else {
            return .last(Bytes(name[start...]))
        }
        return .more(Bytes(name[start..<cut(name, from: start)]) + NameMark.more)
    }

    private func cut(_ name: Bytes, from start: Int) -> Int {
        var end = start
        while end < name.count {
            let next = end + parts.unbreakableCount(in: name, at: end)
            guard next - start <= Self.pieceBytes else {
                // A token longer than a piece is cut after all: pieces are put together before they are read.
                return end > start ? end : start + Self.pieceBytes
            }
            end = next
        }
        return end
    }

    /// What of a name stands in the directories above the one in which it goes on behind `pending`.
    private func outer(_ pending: Bytes) -> Bytes {
        var start = 0
        while true {
            let next = cut(pending, from: start)
            if next >= pending.count { return Bytes(pending[..<start]) }
            start = next
        }
    }

    // MARK: Levels

    func level(of prefix: Bytes) -> Int {
        prefix[rootPrefix.count...].reduce(0) { $0 + ($1 == separator ? 1 : 0) }
    }

    private func coding(below prefix: Bytes) -> NameCoding {
        level(of: prefix) < depth ? parts : whole
    }

    /// The prefix of the directory in which a key shows by itself.
    func home(of key: Bytes) -> Bytes {
        var end = rootPrefix.count
        var level = 0
        while level < depth, let next = key[end...].firstIndex(of: separator) {
            end = next + 1
            level += 1
        }
        return Bytes(key[..<end])
    }

    /// Calls `body` with the fingerprint and the length of the prefix of each directory that the key lies in,
    /// but the root, from there down.
    func forEachDirectory(of key: Bytes, _ body: (_ number: UInt64, _ length: Int) -> Void) {
        guard key.count > rootPrefix.count else { return }
        var hash = Fingerprint()
        hash.add(rootPrefix)
        var level = 0
        for index in rootPrefix.count..<key.count where level < depth {
            hash.add(key[index])
            if key[index] == separator {
                level += 1
                body(hash.value, index + 1)
            }
        }
    }

    /// The directory above one, and its name there (its piece, when it is a long one).
    func parent(of place: Place) -> Place? {
        switch place {
        case .updater: return root
        case .value(let key): return .directory(DirectoryPlace(prefix: home(of: key)))
        case .field(let key, _):
            return hashes == .directory
                ? .hash(key: key, pending: []) : .directory(DirectoryPlace(prefix: home(of: key)))
        case .hash(let key, let pending):
            return pending.isEmpty
                ? .directory(DirectoryPlace(prefix: home(of: key)))
                : .hash(key: key, pending: outer(pending))
        case .directory(let directory):
            guard directory.pending.isEmpty else {
                return .directory(
                    DirectoryPlace(prefix: directory.prefix, pending: outer(directory.pending)))
            }
            guard directory.prefix.count > rootPrefix.count else { return nil }
            return .directory(
                DirectoryPlace(prefix: home(of: Bytes(directory.prefix.dropLast()))))
        }
    }
}
