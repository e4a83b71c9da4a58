import KeyValue
import Primitives

/// Keys that this mount has changed itself just now: the server announces that, too.
final class OwnChanges: Sendable {
    static let milliseconds = 1_000
    private static let maximumKept = 4_096

    /// Told of each, before it is carried out.
    private let hear: @Sendable (Bytes) -> Void
    /// Rank: a leaf.
    private let changed = Locked<[Bytes: Deadline]>([:])

    init(_ hear: @escaping @Sendable (Bytes) -> Void) { self.hear = hear }

    /// A key is about to be changed here.
    func note(_ key: Bytes) {
        hear(key)
        changed.withLock { changed in
            if changed.count >= Self.maximumKept {
                changed = changed.filter { !$0.value.hasPassed }
                if changed.count >= Self.maximumKept { changed.removeAll() }
            }
            changed[key] = .after(milliseconds: Self.milliseconds)
        }
    }

    func contains(_ key: Bytes) -> Bool {
        changed.withLock { changed in
            guard let deadline = changed[key] else { return false }
            return !deadline.hasPassed
        }
    }
}
