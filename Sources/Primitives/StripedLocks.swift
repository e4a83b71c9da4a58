import Glibc

/// The lock striping table: N reader/writer locks, each on cache lines of its own, to which inodes map
/// by their number. There is no lock for the whole filesystem.
///
/// Rank: an inode stripe is the outermost lock, and the only one that may be held across a round trip to
/// the store. Two stripes are taken through `withExclusive(_:_:)`, which orders them.
public final class StripedLocks: @unchecked Sendable {
    /// A pthread_rwlock_t is 56 bytes; two cache lines keep neighbours (and the adjacent-line
    /// prefetcher) apart.
    private static let strideBytes = 128

    private let memory: UnsafeMutableRawPointer
    public let count: Int

    /// `count` is a power of two.
    public init(count: Int = 1_024) {
        precondition(count > 0 && count & (count - 1) == 0, "the stripe count is a power of two")
        self.count = count
        memory = .allocate(byteCount: count * Self.strideBytes, alignment: Self.strideBytes)
        for index in 0..<count {
            let lock = (memory + index * Self.strideBytes).bindMemory(
                to: pthread_rwlock_t.self, capacity: 1)
            lock.initialize(to: pthread_rwlock_t())
            pthread_rwlock_init(lock, nil)
        }
    }

    deinit {
        for index in 0..<count { pthread_rwlock_destroy(lock(at: index)) }
        memory.deallocate()
    }

    /// Runs `body` while no other thread holds the stripe of `inode` exclusively.
    public func withShared<Result, Failure: Error>(
        _ inode: InodeID, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let lock = lock(at: index(of: inode))
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    /// Runs `body` while no other thread holds the stripe of `inode`.
    public func withExclusive<Result, Failure: Error>(
        _ inode: InodeID, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let lock = lock(at: index(of: inode))
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    /// The same for several inodes, whose stripes are taken in ascending order and each once.
    public func withExclusive<Result, Failure: Error>(
        _ inodes: [InodeID], _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let stripes = Set(inodes.map(index(of:))).sorted()
        for stripe in stripes { pthread_rwlock_wrlock(lock(at: stripe)) }
        defer { for stripe in stripes.reversed() { pthread_rwlock_unlock(lock(at: stripe)) } }
        return try body()
    }

    /// Neighbouring inode numbers land on different stripes.
    public func index(of inode: InodeID) -> Int {
        Int(truncatingIfNeeded: inode.rawValue) & (count - 1)
    }

    private func lock(at index: Int) -> UnsafeMutablePointer<pthread_rwlock_t> {
        // SAFETY: index < count, and init bound and initialized a lock at each stride.
        (memory + index * Self.strideBytes).assumingMemoryBound(to: pthread_rwlock_t.self)
    }
}
