import Primitives
import Synchronization

/// Counts the changes to what the store holds, by stripe of inodes, so that something fetched before a
/// change is never believed after it.
///
/// Read the generation, fetch, and compare: when it has moved, what was fetched may be older than what
/// is known here. A neighbour on the same stripe moves it, too, which costs a fetch and no correctness.
final class Generations: @unchecked Sendable {
    // SAFETY: allocated in init, freed in deinit; each element is only touched through `Atomic`.
    private let counters: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: Int
    private let all = Atomic<UInt64>(0)

    /// `stripes` is a power of two.
    init(stripes count: Int) {
        self.count = count
        counters = .allocate(capacity: count)
        for index in 0..<count { (counters + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counters.deinitialize(count: count)
        counters.deallocate()
    }

    func current(_ inode: InodeID) -> UInt64 {
        counters[index(of: inode)].load(ordering: .acquiring)
    }

    /// Moves with every change to any inode.
    var total: UInt64 { all.load(ordering: .acquiring) }

    func bump(_ inode: InodeID) {
        counters[index(of: inode)].wrappingAdd(1, ordering: .acquiringAndReleasing)
        all.wrappingAdd(1, ordering: .acquiringAndReleasing)
    }

    /// Bumps; `true` when nobody else has since `generation` was read.
    func bump(_ inode: InodeID, from generation: UInt64) -> Bool {
        let (isFirst, _) = counters[index(of: inode)].compareExchange(
            expected: generation, desired: generation &+ 1, ordering: .acquiringAndReleasing)
        if isFirst {
            all.wrappingAdd(1, ordering: .acquiringAndReleasing)
        } else {
            bump(inode)
        }
        return isFirst
    }

    func bumpAll() {
        for index in 0..<count { counters[index].wrappingAdd(1, ordering: .acquiringAndReleasing) }
        all.wrappingAdd(1, ordering: .acquiringAndReleasing)
    }

    private func index(of inode: InodeID) -> Int {
        Int(truncatingIfNeeded: inode.rawValue) & (count - 1)
    }
}
