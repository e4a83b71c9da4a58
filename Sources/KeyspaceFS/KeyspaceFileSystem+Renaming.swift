public import FileSystem
import KeyValue
import Logging
public import Primitives
import Redis

extension KeyspaceFileSystem {
    /// What a value may have to move between a string and a field, which the server copies while everybody
    /// waits; `mv` copies what is larger.
    private static let movedBytes = 16 << 20
    /// Keys that are renamed with their directory, in one transaction; `mv` copies more.
    private static let movedKeys = 10_000

    public func rename(
        _ caller: Caller, parent: InodeID, name: FileName,
        newParent: InodeID, newName: FileName, flags: RenameFlags
    ) throws(Errno) {
        try requireWritable()
        guard flags.isSubset(of: .noReplace) else { throw .invalid }
        let from = try inodes.inode(parent).place
        let to = try inodes.inode(newParent).place
        let new = try checked(newName)
        guard let source = try find(try checked(name), in: from) else { throw .noEntry }
        let target = try find(new, in: to)
        if target?.place == source.place { return }
        guard target == nil || !flags.contains(.noReplace) else { throw .exists }
        if source.place.isDirectory {
            try renameDirectory(source.place, target, try newDirectoryPlace(new, in: to, source))
        } else {
            guard source.place != .updater, target?.place != .updater else { throw .notPermitted }
            guard target.map({ !$0.place.isDirectory }) ?? true else { throw .isDirectory }
            try requireRemovable(source)
            if let target { try requireRemovable(target) }
            let place: Place
            if let target {
                place = target.place
            } else {
                place = try newFilePlace(new, in: to, source)
            }
            do throws(Errno) {
                try renameFile(source, target, place)
            } catch {
                throw error == .exists && !flags.contains(.noReplace) ? .accessDenied : error
            }
            keepPlainName(of: new, in: to)
        }
        keepDirectories(of: from)
    }

    /// Keys stay keys, whatever their name; but a string becomes a field of a hash that is there.
    private func newFilePlace(
        _ name: Bytes, in directory: Place, _ source: Found
    ) throws(Errno) -> Place {
        var key: Bytes?
        if case .directory(let place) = directory {
            key = naming.meaning(of: name, in: place).key.flatMap { naming.shows($0) ? $0 : nil }
        }
        if let facts = source.facts, isRendered(facts, source.place) {
            guard let key else { throw .crossDevice }
            return .value(key: key)
        }
        let place = try newPlace(name, in: directory)
        guard case .value = source.place, case .field(let hash, _) = place, let key,
            try store.type(try store.perform(RedisCommand("TYPE", hash))) == nil
        else { return place }
        return .value(key: key)
    }

    // MARK: Files

    private func renameFile(
        _ source: Found, _ target: Found?, _ place: Place
    ) throws(Errno) {
        // A hash is not seen by its own name, and must not be replaced because of that.
        let move = { [self] () throws(Errno) in
            try moveValue(source, to: place, mustBeNew: target == nil)
        }
        let replace = { [self] () throws(Errno) in
            if target == nil { return try move() }
            try takeAway(place, move)
        }
        let inode = inodes.known(source.place)
        if let session = edit(of: source.place) {
            try session.move(to: place, replace)
        } else {
            try replace()
        }
        renameEdit(source.place, to: place)
        if let inode { inodes.move(inode, to: place) }
        remembered.move(source.place, to: place)
        if let key = place.key { index.note(key) }
    }

    private func moveValue(
        _ source: Found, to place: Place, mustBeNew: Bool
    ) throws(Errno) {
        guard let from = source.place.key, let to = place.key else { throw .invalid }
        own.note(from)
        own.note(to)
        let flag = Bytes(mustBeNew ? "1".utf8 : "0".utf8)
        let answer: Int64
        switch (source.place, place) {
        case (.value, .value):
            let replies = try store.perform(
                [
                    RedisCommand("PEXPIRETIME", from),
                    RedisCommand(
                        "EVAL", KeyScripts.call(KeyScripts.rename, keys: [from, to], [flag])),
                ], effect: .once)
            answer = try store.integer(replies[1])
            if answer == 1 {
                tunnel.enter(
                    from, expiry: try store.integer(replies[0]),
                    isString: source.facts?.type == .string)
            }
        default:
            if let facts = source.facts, isRendered(facts, source.place) { throw .crossDevice }
            let (fromKind, fromField) = Self.words(source.place)
            let (toKind, toField) = Self.words(place)
            answer = try store.integer(
                try store.perform(
                    RedisCommand(
                        "EVAL",
                        KeyScripts.call(
                            KeyScripts.move, keys: [from, to],
                            [
                                fromKind, fromField, toKind, toField, flag,
                                Bytes(decimal: UInt64(Self.movedBytes)),
                            ])), effect: .once))
        }
        switch answer {
        case 1: return
        case 0: throw .exists
        case -1: throw .noEntry
        default: throw .crossDevice
        }
    }

    private static func words(_ place: Place) -> (kind: Bytes, field: Bytes) {
        if case .field(_, let field) = place { return (Bytes("f".utf8), field) }
        return (Bytes("s".utf8), [])
    }

    // MARK: Directories

    private func newDirectoryPlace(
        _ name: Bytes, in directory: Place, _ source: Found
    ) throws(Errno) -> Place {
        guard case .directory(let place) = directory else { throw .crossDevice }
        let meaning = naming.meaning(of: name, in: place)
        if case .hash = source.place {
            guard let key = meaning.key, naming.shows(key) else { throw .crossDevice }
            return .hash(key: key, pending: [])
        }
        guard let directory = meaning.directory else { throw .crossDevice }
        return .directory(directory)
    }

    private func renameDirectory(
        _ source: Place, _ target: Found?, _ place: Place
    ) throws(Errno) {
        if let target {
            guard target.place.isDirectory else { throw .notDirectory }
            guard try isEmpty(target.place) else { throw .directoryNotEmpty }
        }
        // What is open in it would be stored under its old name.
        let isUsed = edits.withLock { edits in
            edits.keys.contains { $0.key.map { isKey($0, below: source) } ?? false }
        }
        guard !isUsed, !source.isContinuation else { throw .crossDevice }
        switch (source, place) {
        case (.directory(let from), .directory(let to)):
            guard !to.prefix.starts(with: from.prefix) else { throw .invalid }
            try renameKeys(from.prefix, to.prefix)
            moveMade(from.prefix, to.prefix)
            index.forget(from.prefix)
        case (.hash(let from, _), .hash(let to, _)):
            own.note(from)
            own.note(to)
            let answer = try store.perform(
                RedisCommand(
                    "EVAL", KeyScripts.call(KeyScripts.rename, keys: [from, to], [[49]])),
                effect: .once)
            switch try store.integer(answer) {
            case 1: index.note(to)
            case 0: throw .directoryNotEmpty
            // Empty, and only here.
            default: index.make(place)
            }
            index.unmake(source)
        default: throw .crossDevice
        }
        inodes.known(source).map { inodes.move($0, to: place) }
        remembered.move(source, to: place)
    }

    private func isKey(_ key: Bytes, below place: Place) -> Bool {
        switch place {
        case .directory(let directory): key.starts(with: directory.prefix)
        case .hash(let hash, _): key == hash
        case .value, .field, .updater: false
        }
    }

    /// All keys in one transaction, which does not happen when one of them is changed meanwhile.
    private func renameKeys(_ from: Bytes, _ to: Bytes) throws(Errno) {
        var keys: Set<Bytes> = []
        try index.forEachKey(beginningWith: from) { some throws(Errno) in
            keys.formUnion(some)
            return keys.count <= Self.movedKeys
        }
        guard keys.count <= Self.movedKeys else { throw .crossDevice }
        guard !keys.isEmpty else { return index.make(.directory(DirectoryPlace(prefix: to))) }
        let session = try sessions.take()
        defer { sessions.giveBack(session) }
        let pairs = keys.map { ($0, to + $0.dropFirst(from.count)) }
        for (old, new) in pairs {
            guard naming.shows(new) else { throw .crossDevice }
            own.note(old)
            own.note(new)
        }
        let looked = try perform(
            [
                RedisCommand("UNWATCH"), RedisCommand("WATCH", pairs.flatMap { [$0.0, $0.1] }),
                RedisCommand("EXISTS", pairs.map { $0.1 }),
            ], in: session)
        guard looked[2] == .integer(0) else { throw .directoryNotEmpty }
        let answers = try perform(
            [RedisCommand("MULTI")] + pairs.map { RedisCommand("RENAMENX", $0.0, $0.1) }
                + [RedisCommand("EXEC")], in: session)
        guard case .array(let renamed)? = answers.last else {
            logger.notice("not renamed: keys of the directory were changed meanwhile")
            throw .busy
        }
        for reply in renamed { _ = try store.checked(reply) }
        for (_, new) in pairs { index.note(new) }
        for inode in inodes.snapshot() {
            guard let key = inode.place.key, keys.contains(key),
                let new = inode.place.renamed(to + key.dropFirst(from.count))
            else { continue }
            remembered.move(inode.place, to: new)
            inodes.move(inode, to: new)
        }
    }

    /// The replies, none of which is an error. That of EXEC says only that some command was refused: that
    /// one's error is thrown.
    private func perform(
        _ commands: [RedisCommand], in session: RedisSession
    ) throws(Errno) -> [Reply] {
        let replies: [Reply]
        do throws(StoreError) {
            replies = try session.perform(commands)
        } catch {
            throw store.report(error)
        }
        for reply in replies { _ = try store.checked(reply) }
        return replies
    }

    /// Directories that were made here, and those that the kernel knows, move along.
    private func moveMade(_ from: Bytes, _ to: Bytes) {
        let places = index.allMade() + inodes.snapshot().map(\.place)
        for place in places {
            guard case .directory(let directory) = place, directory.prefix.starts(with: from) else {
                continue
            }
            let new = Place.directory(
                DirectoryPlace(
                    prefix: to + directory.prefix.dropFirst(from.count), pending: directory.pending)
            )
            if index.isMade(place) {
                index.unmake(place)
                index.make(new)
            }
            if let inode = inodes.known(place) { inodes.move(inode, to: new) }
        }
    }
}

extension Place {
    /// The same of another key.
    fileprivate func renamed(_ key: Bytes) -> Place? {
        switch self {
        case .value: .value(key: key)
        case .field(_, let field): .field(key: key, field: field)
        case .hash(_, let pending): .hash(key: key, pending: pending)
        case .directory, .updater: nil
        }
    }
}
