import FileSystem
import KeyValue
import Primitives

/// The inodes that the kernel refers to, by number and by place. A number is the fingerprint of the place where
/// the inode was first seen, so that it is the same in every mount, unless two places meet or something was
/// renamed.
final class KeyInodeTable: Sendable {
    private struct Entry {
        var inode: KeyInode
        var references: UInt64
    }

    private struct Contents {
        var entries: [InodeID: Entry] = [:]
        /// Without those whose name was taken away.
        var places: [Place: KeyInode] = [:]
        /// Files of fields by their hash.
        var fields: [Bytes: Set<InodeID>] = [:]
        /// In the order in which they came; numbers of forgotten inodes are skipped.
        var order: [InodeID] = []
    }

    /// One lock for all: each operation here goes with a round trip to the store, which takes a hundred
    /// times as long. Rank: below every edit, above one inode's state.
    private let contents = Locked(Contents())
    let root: KeyInode

    init(root place: Place) { root = KeyInode(id: .root, place: place) }

    /// The number that a place has or would get.
    func number(of place: Place) -> InodeID {
        if place == root.place { return .root }
        return contents.withLock { $0.places[place]?.id ?? Self.freeNumber(for: place, $0) }
    }

    private static func freeNumber(for place: Place, _ contents: Contents) -> InodeID {
        var number = max(place.fingerprint, InodeID.root.rawValue + 1)
        while contents.entries[InodeID(number)] != nil { number = max(number &+ 1, 2) }
        return InodeID(number)
    }

    /// The inode of a place, if the kernel knows it.
    func known(_ place: Place) -> KeyInode? {
        place == root.place ? root : contents.withLock { $0.places[place] }
    }

    /// The inode of a place, with one more reference.
    func refer(to place: Place) -> KeyInode {
        if place == root.place { return root }
        return contents.withLock { contents in
            if let found = contents.places[place] {
                contents.entries[found.id]?.references += 1
                return found
            }
            let inode = KeyInode(id: Self.freeNumber(for: place, contents), place: place)
            contents.entries[inode.id] = Entry(inode: inode, references: 1)
            contents.order.append(inode.id)
            Self.add(inode, at: place, &contents)
            return inode
        }
    }

    private static func add(_ inode: KeyInode, at place: Place, _ contents: inout Contents) {
        contents.places[place] = inode
        if case .field(let key, _) = place {
            contents.fields[key, default: []].insert(inode.id)
        }
    }

    private static func remove(_ inode: KeyInode, _ contents: inout Contents) {
        let place = inode.place
        guard contents.places[place] === inode else { return }
        contents.places[place] = nil
        guard case .field(let key, _) = place else { return }
        contents.fields[key]?.remove(inode.id)
        if contents.fields[key]?.isEmpty == true { contents.fields[key] = nil }
    }

    /// ESTALE for a number that the kernel was never given.
    func inode(_ id: InodeID) throws(Errno) -> KeyInode {
        if id == .root { return root }
        guard let found = contents.withLock({ $0.entries[id]?.inode }) else { throw .stale }
        return found
    }

    func forget(_ id: InodeID, count: UInt64) {
        contents.withLock { contents in
            guard let entry = contents.entries[id] else { return }
            guard entry.references <= count else {
                contents.entries[id]?.references = entry.references - count
                return
            }
            contents.entries[id] = nil
            Self.remove(entry.inode, &contents)
            if contents.order.count > 64, contents.order.count > 2 * contents.entries.count {
                let entries = contents.entries
                contents.order.removeAll { entries[$0] == nil }
            }
        }
    }

    /// Every inode of a key that the kernel knows.
    func inodes(of key: Bytes) -> [KeyInode] {
        contents.withLock { contents in
            [Place.value(key: key), .hash(key: key, pending: [])].compactMap { contents.places[$0] }
                + contents.fields[key, default: []].compactMap { contents.entries[$0]?.inode }
        }
    }

    var count: Int { contents.withLock { $0.entries.count } }

    /// Those that the kernel has known longest, as many as there are more than `limit`.
    func surplus(beyond limit: Int) -> [KeyInode] {
        contents.withLock { contents in
            guard contents.entries.count > limit else { return [] }
            let some = contents.order.prefix(contents.entries.count - limit)
            // Whoever is asked and stays comes last from now on.
            contents.order.removeFirst(some.count)
            let asked = some.filter { contents.entries[$0] != nil }
            contents.order += asked
            return asked.compactMap { contents.entries[$0]?.inode }
        }
    }

    /// Everything of this moment, the root included.
    func snapshot() -> [KeyInode] {
        [root] + contents.withLock { Array($0.entries.values.map(\.inode)) }
    }

    /// The inode has another place from now on; what was known there has lost its name.
    func move(_ inode: KeyInode, to place: Place) {
        guard inode.id != .root else { return }
        contents.withLock { contents in
            Self.remove(inode, &contents)
            inode.withState { $0.place = place }
            if let other = contents.places[place], other !== inode {
                Self.remove(other, &contents)
                other.withState { $0.isGone = true }
            }
            Self.add(inode, at: place, &contents)
        }
    }

    /// The name of an inode was taken away: whatever comes to its place is another one.
    func detach(_ inode: KeyInode, orphan: Orphan?) {
        contents.withLock { contents in
            Self.remove(inode, &contents)
            inode.withState { state in
                state.isGone = true
                state.orphan = orphan
            }
        }
    }
}
