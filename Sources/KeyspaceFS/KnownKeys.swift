import KeyValue
import Primitives

/// All keys of the view as they were when all were gone through, and which of them were changed since: with
/// both it is known what is in a directory, as far as changes are announced. Only the changed ones have to be
/// asked for.
final class KnownKeys: Sendable {
    /// What is known at one moment.
    struct Snapshot: Sendable {
        let tree: KeyTree
        /// Made, changed or removed since: nothing is known of them.
        let changed: Set<Bytes>

        func changed(below prefix: Bytes) -> [Bytes] { changed.filter { $0.starts(with: prefix) } }
    }

    private struct State {
        var tree: KeyTree?
        var changed: Set<Bytes> = []
        var isCollecting = false
        /// There was a tree, and too many keys were changed since.
        var isWornOut = false
    }

    /// Beyond so many changed keys it is better to go through all again.
    static let changedLimit = 10_000

    /// Rank: a leaf.
    private let state = Locked(State())

    /// All keys are about to be gone through. What was known is forgotten first, so that there are never two
    /// trees, unless somebody is reading the old one.
    func begin() {
        state.withLock { state in
            state = State()
            state.isCollecting = true
        }
    }

    /// They were; `nil`, or a tree that is overfull, when not all of them are known. Changes of what was begun
    /// and then forgotten were not collected.
    func end(_ tree: KeyTree?) {
        state.withLock { state in
            defer { state.isCollecting = false }
            guard state.isCollecting, let tree, !tree.isOverfull else { return }
            if state.changed.count > Self.changedLimit {
                state.isWornOut = true
            } else {
                state.tree = tree
            }
        }
    }

    /// Somebody has made, changed or removed a key, or is about to.
    func note(_ key: Bytes) {
        state.withLock { state in
            guard state.isCollecting || state.tree != nil,
                state.changed.count <= Self.changedLimit
            else { return }
            state.changed.insert(key)
            guard state.tree != nil, state.changed.count > Self.changedLimit else { return }
            state.tree = nil
            state.changed = []
            state.isWornOut = true
        }
    }

    func forgetAll() { state.withLock { $0 = State() } }

    /// Whether going through all keys again would help.
    var isWornOut: Bool { state.withLock { $0.isWornOut } }

    var snapshot: Snapshot? {
        state.withLock { state in
            state.tree.map { Snapshot(tree: $0, changed: state.changed) }
        }
    }
}
