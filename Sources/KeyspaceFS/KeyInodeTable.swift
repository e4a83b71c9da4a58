import FileSystem
import KeyValue
import Primitives

/// The inodes that the kernel refers to, by number and by place. A number is the fingerprint of the place where
/// the inode was first seen, so that it is the same in every mount, unless two places meet or something was
/// renamed. Then it stays what it was for as long as that is remembered: editors look whether the file that
/// they save is still the one that they have read.
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
        var unusual = UnusualNumbers()
    }

    /// Numbers of places that are not their fingerprints, while the kernel does not know the inodes.
    private struct UnusualNumbers {
        /// Beyond twice as many the older half is forgotten.
        private static let kept = 8_192

        private var numbers: [Place: InodeID] = [:]
        private var places: [InodeID: Place] = [:]
        private var order: [Place] = []

        var count: Int { numbers.count }

        func number(of place: Place) -> InodeID? { numbers[place] }

        /// Whether the number is kept for another place.
        func isKept(_ number: InodeID, from place: Place) -> Bool {
            places[number].map { $0 != place } ?? false
        }

        mutating func keep(_ number: InodeID, for place: Place) {
            forget(place)
            numbers[place] = number
            places[number] = place
            order.append(place)
            guard order.count > 2 * Self.kept else { return }
            for old in order.prefix(Self.kept) { forget(old) }
            order.removeFirst(Self.kept)
        }

        /// The order keeps the place, which is harmless: it is forgotten a second time later.
        mutating func forget(_ place: Place) {
            guard let number = numbers.removeValue(forKey: place) else { return }
            places[number] = nil
        }
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
        if let number = contents.unusual.number(of: place), contents.entries[number] == nil {
            return number
        }
        var number = InodeID(max(place.fingerprint, InodeID.root.rawValue + 1))
        while contents.entries[number] != nil || contents.unusual.isKept(number, from: place) {
            number = InodeID(max(number.rawValue &+ 1, 2))
        }
        return number
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
            contents.unusual.forget(place)
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
            if let place = entry.inode.livingPlace, id.rawValue != place.fingerprint {
                contents.unusual.keep(id, for: place)
            }
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

    /// Numbers that are kept for inodes that the kernel does not know.
    var unusualCount: Int { contents.withLock { $0.unusual.count } }

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
            let left = inode.place
            inode.withState { $0.place = place }
            if let other = contents.places[place], other !== inode {
                Self.remove(other, &contents)
                other.withState { $0.isGone = true }
            }
            // The kernel may have forgotten it while the store was asked: then only its number moves.
            if contents.entries[inode.id]?.inode === inode {
                Self.add(inode, at: place, &contents)
            } else if contents.entries[inode.id] == nil {
                contents.unusual.forget(left)
                contents.unusual.keep(inode.id, for: place)
            }
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
