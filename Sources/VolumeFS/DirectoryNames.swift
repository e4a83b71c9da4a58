import Primitives
import Synchronization

/// All names of a directory, as hashes: a name whose hash is not here certainly does not exist, and saying
/// so costs no trip. Known of directories that this mount made, as long as nobody else changes them.
///
/// Names that went stay: two names may share a hash, and "perhaps" is always safe.
final class DirectoryNames: Sendable {
    /// Bounds what all directories of a mount remember.
    final class Budget: Sendable {
        /// 16 to 32 bytes each, with the room that a set keeps free: at most 8 MiB.
        static let maximumNames = 1 << 18
        fileprivate let used = Atomic<Int>(0)
    }

    private let budget: Budget
    private let hashes = Locked<Set<UInt64>>([])

    init(budget: Budget) { self.budget = budget }

    deinit { budget.used.subtract(hashes.withLock { $0.count }, ordering: .relaxed) }

    /// False when there is no room: the directory is then not known any more.
    func insert(_ hash: UInt64) -> Bool {
        guard budget.used.load(ordering: .relaxed) < Budget.maximumNames else { return false }
        if hashes.withLock({ $0.insert(hash).inserted }) { budget.used.add(1, ordering: .relaxed) }
        return true
    }

    func mayContain(_ hash: UInt64) -> Bool { hashes.withLock { $0.contains(hash) } }
}
