public import FileSystem
import KeyValue
import Logging
public import Primitives
import Redis

extension KeyspaceFileSystem {
    public func create(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, options: OpenOptions
    ) throws(Errno) -> (EntryAnswer, OpenAnswer) {
        try requireWritable()
        let name = try checked(name)
        let directory = try inodes.inode(parent).place
        if let found = try find(name, in: directory) {
            guard !options.contains(.exclusive) else { throw .exists }
            return try open(found, options)
        }
        let place = try newPlace(name, in: directory)
        guard try make(place) || !options.contains(.exclusive) else { throw .exists }
        keepPlainName(of: name, in: directory)
        remember(mode & ~caller.umask, of: place)
        return try open(Found(place: place, facts: PlaceFacts(type: .string, size: 0)), options)
    }

    private func open(
        _ found: Found, _ options: OpenOptions
    ) throws(Errno) -> (EntryAnswer, OpenAnswer) {
        let answer = entry(found)
        let id = answer.attributes.inode
        do throws(Errno) {
            return (answer, try open(try inodes.inode(id), options))
        } catch {
            inodes.forget(id, count: 1)
            throw error
        }
    }

    /// Only regular files.
    public func mknod(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, device: UInt32
    ) throws(Errno) -> EntryAnswer {
        try requireWritable()
        guard FileKind(mode: mode) == .regular else { throw .notPermitted }
        let name = try checked(name)
        let directory = try inodes.inode(parent).place
        guard try find(name, in: directory) == nil else { throw .exists }
        let place = try newPlace(name, in: directory)
        guard try make(place) else { throw .exists }
        keepPlainName(of: name, in: directory)
        remember(mode & ~caller.umask, of: place)
        return entry(Found(place: place, facts: PlaceFacts(type: .string, size: 0)))
    }

    private func remember(_ mode: UInt32, of place: Place) {
        let now = Timestamp.now
        remembered.change(place) { values in
            values = RememberedAttributes.Values(
                permissions: mode & 0o7777, modificationTime: now, changeTime: now)
        }
    }

    // MARK: What a new name becomes

    private static let lockEnding = Bytes(".lock".utf8)

    /// The rules of redisfuse: without a dot a string; `*.lock` a string; with a dot, and what stands before it
    /// is a key that cannot have fields, a string; else a field of a hash. What was a string until a moment
    /// ago is one again. EPERM for a name that the view would not show.
    func newPlace(_ name: Bytes, in directory: Place) throws(Errno) -> Place {
        switch directory {
        case .hash(let key, let pending):
            guard let place = naming.meaning(of: name, inHash: key, pending: pending),
                !place.isDirectory
            else { throw .invalid }
            return place
        case .directory(let place):
            let meaning = naming.meaning(of: name, in: place)
            guard !meaning.isUpdater, meaning.continuation == nil else { throw .invalid }
            if let field = meaning.field, naming.shows(field.key),
                !name.suffix(Self.lockEnding.count).elementsEqual(Self.lockEnding),
                !(meaning.key.map { tunnel.holdsString($0) } ?? false),
                try canHaveFields(field.key)
            {
                return .field(key: field.key, field: field.field)
            }
            guard let key = meaning.key else { throw .invalid }
            guard naming.shows(key) else { throw .notPermitted }
            return .value(key: key)
        case .value, .field, .updater: throw .notDirectory
        }
    }

    /// What was given the name `x%value` keeps it while the mount lives, also without a directory `x`: that may
    /// be made next, by whoever copies a tree.
    func keepPlainName(of name: Bytes, in directory: Place) {
        guard case .directory(let place) = directory, place.pending.isEmpty,
            let plain = name.without(mark: NameMark.value),
            let below = naming.meaning(of: plain, in: place).directory
        else { return }
        index.keepFree(below)
    }

    private func canHaveFields(_ key: Bytes) throws(Errno) -> Bool {
        let type = try store.type(try store.perform(RedisCommand("TYPE", key)))
        return type == nil || type == .hash
    }

    /// Makes it with nothing in it. False when it is there already.
    private func make(_ place: Place) throws(Errno) -> Bool {
        guard let key = place.key else { throw .invalid }
        own.note(key)
        let isNew: Bool
        switch place {
        case .field(_, let field):
            let reply = try store.perform(
                [RedisCommand("HSETNX", key, field, [])], effect: .once)[0]
            // Of another type by now.
            if reply.failure == .wrongKind { throw .accessDenied }
            isNew = try store.integer(reply) == 1
        case .value:
            let reply = try store.perform(
                RedisCommand("SET", key, [], Bytes("NX".utf8)), effect: .once)
            isNew = reply != .null
        case .directory, .hash, .updater: throw .invalid
        }
        index.note(key)
        restoreExpiry(of: place)
        return isNew
    }

    /// A key that was taken away here a moment ago and is made again gets the expiry that it had.
    func restoreExpiry(of place: Place) {
        guard case .value(let key) = place, let expiry = tunnel.leave(key) else { return }
        do throws(Errno) {
            own.note(key)
            _ = try store.perform(
                RedisCommand("PEXPIREAT", key, Bytes(decimal: expiry)), effect: .idempotent)
        } catch {
            logger.error(
                "a key that was saved anew has lost its expiry", metadata: ["error": "\(error)"])
        }
    }

    // MARK: What a keyspace does not have

    public func symlink(
        _ caller: Caller, target: FileName, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        try requireWritable()
        throw .notPermitted
    }

    public func link(
        _ caller: Caller, inode: InodeID, newParent: InodeID, newName: FileName
    ) throws(Errno) -> EntryAnswer {
        try requireWritable()
        throw .notPermitted
    }

    public func readlink(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        throw .invalid
    }

    // MARK: Directories

    /// A directory that is there for as long as the mount, or until it is removed.
    public func mkdir(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32
    ) throws(Errno) -> EntryAnswer {
        try requireWritable()
        let name = try checked(name)
        let directory = try inodes.inode(parent).place
        guard try find(name, in: directory) == nil else { throw .exists }
        let place = try newDirectory(name, in: directory)
        index.make(place)
        remember(mode & ~caller.umask, of: place)
        return entry(Found(place: place))
    }

    private func newDirectory(_ name: Bytes, in directory: Place) throws(Errno) -> Place {
        switch directory {
        case .hash(let key, let pending):
            guard let place = naming.meaning(of: name, inHash: key, pending: pending),
                place.isContinuation
            else { throw .notPermitted }
            return place
        case .directory(let place):
            let meaning = naming.meaning(of: name, in: place)
            if let continuation = meaning.continuation { return continuation }
            // None is divided below the deepest level, and `%value` names no directory.
            guard let directory = meaning.directory else { throw .notPermitted }
            return .directory(directory)
        case .value, .field, .updater: throw .notDirectory
        }
    }
}
