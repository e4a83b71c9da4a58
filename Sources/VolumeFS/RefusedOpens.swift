import Primitives

/// Threads whose open met an inode without a name a moment ago and was refused with ESTALE, so that the kernel
/// looks the name up again and opens what it finds (do_filp_open of Linux). At the second try there is no newer
/// name to be found: it is one of /proc/self/fd, or a file that was replaced twice in a row.
final class RefusedOpens: Sendable {
    static let maximumCount = 1_024

    private let keptMilliseconds: Int

    /// Rank: leaf.
    private let threads = Locked<[Int32: Deadline]>([:])

    init(keptMilliseconds: Int = 5_000) { self.keptMilliseconds = keptMilliseconds }

    /// Whether the thread was refused a moment ago. Whoever asks is at its second try; the next is a first one.
    func take(_ thread: Int32) -> Bool {
        threads.withLock { threads in
            guard let until = threads.removeValue(forKey: thread) else { return false }
            return !until.hasPassed
        }
    }

    func add(_ thread: Int32) {
        threads.withLock { threads in
            if threads.count >= Self.maximumCount { threads = [:] }
            threads[thread] = .after(milliseconds: keptMilliseconds)
        }
    }

    /// The thread has opened a file that has a name.
    func forget(_ thread: Int32) {
        threads.withLock { threads in
            if !threads.isEmpty { threads.removeValue(forKey: thread) }
        }
    }
}
