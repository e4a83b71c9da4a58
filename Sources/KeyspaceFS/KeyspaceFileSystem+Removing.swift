public import FileSystem
import KeyValue
public import Primitives
import Redis

extension KeyspaceFileSystem {
    /// What is kept of a file that is unlinked while it is open.
    static let orphanBytes = 64 << 20

    public func unlink(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let parentPlace = try inodes.inode(parent).place
        guard let found = try find(try checked(name), in: parentPlace) else { throw .noEntry }
        guard !found.place.isDirectory else { throw .isDirectory }
        guard found.place != .updater else { throw .notPermitted }
        try requireRemovable(found)
        try takeAway(found.place) { () throws(Errno) in try delete(found) }
        keepDirectories(of: parentPlace)
    }

    /// EACCES for lists, sets, sorted sets and streams, unless that was allowed.
    func requireRemovable(_ found: Found) throws(Errno) {
        guard let facts = found.facts, isRendered(facts, found.place),
            !options.mayRemoveAnyType
        else { return }
        throw .accessDenied
    }

    private func delete(_ found: Found) throws(Errno) {
        guard let key = found.place.key else { throw .invalid }
        own.note(key)
        switch found.place {
        case .field(_, let field):
            let removed = try store.perform(RedisCommand("HDEL", key, field), effect: .once)
            guard try store.integer(removed) == 1 else { throw .noEntry }
        case .value, .hash:
            let replies = try store.perform(
                [RedisCommand("PEXPIRETIME", key), RedisCommand("UNLINK", key)], effect: .once)
            guard try store.integer(replies[1]) == 1 else { throw .noEntry }
            tunnel.enter(
                key, expiry: try store.integer(replies[0]), isString: found.facts?.type == .string)
        case .directory, .updater: throw .invalid
        }
    }

    /// Runs `body`, which takes the contents of a place away. Programs that have it open keep them.
    func takeAway(
        _ place: Place, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        let inode = inodes.known(place)
        let isOpen = inode?.withState { $0.openCount > 0 } ?? false
        var contents: Bytes?
        if let session = edit(of: place) {
            contents = try session.remove(limitBytes: Self.orphanBytes, body)
            renameEdit(place, to: nil)
        } else {
            if isOpen { contents = try currentContents(of: place) }
            try body()
        }
        remembered.forget(place)
        // Larger ones are gone for everybody: their reads fail.
        if let inode { inodes.detach(inode, orphan: isOpen ? contents.map { Orphan($0) } : nil) }
    }

    private func currentContents(of place: Place) throws(Errno) -> Bytes? {
        guard let facts = try store.facts(of: place), !isRendered(facts, place),
            let size = facts.size, size <= UInt64(Self.orphanBytes)
        else { return nil }
        switch place {
        case .value(let key):
            return try store.text(try store.perform(RedisCommand("GET", key), isBulky: true))
        case .field(let key, let field):
            return try store.text(
                try store.perform(RedisCommand("HGET", key, field), isBulky: true))
        case .directory, .hash, .updater: return nil
        }
    }

    /// A directory whose last key is taken away here stays, as a program expects.
    func keepDirectories(of parent: Place) {
        var place: Place? = parent
        while let current = place, current != naming.root {
            index.make(current)
            place = naming.parent(of: current)
        }
    }

    // MARK: Directories

    public func rmdir(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let name = try checked(name)
        let parentPlace = try inodes.inode(parent).place
        guard let found = try find(name, in: parentPlace) else { throw .noEntry }
        guard found.place.isDirectory else { throw .notDirectory }
        guard try isEmpty(found.place) else { throw .directoryNotEmpty }
        index.unmake(found.place)
        if case .directory(let directory) = found.place, directory.pending.isEmpty {
            index.forget(directory.prefix)
        }
        remembered.forget(found.place)
        keepDirectories(of: parentPlace)
    }

    /// Whether nothing is below a directory. Goes through all keys when that is so.
    func isEmpty(_ place: Place) throws(Errno) -> Bool {
        guard index.made(in: place).isEmpty else { return false }
        switch place {
        case .directory(let directory) where directory.pending.isEmpty:
            return try index.firstKey(beginningWith: directory.prefix) == nil
        case .hash(let key, _) where !place.isContinuation:
            return try store.facts(of: .hash(key: key, pending: [])) == nil
        case .directory, .hash: return try !KeyListing(place, self).hasEntries()
        case .value, .field, .updater: return true
        }
    }
}
