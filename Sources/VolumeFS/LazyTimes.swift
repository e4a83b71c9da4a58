import Primitives

/// Access times that wait to be stored: a read costs no round trip for its own.
///
/// A thread of its own wakes some seconds after the first inode has come and hands them all out. An
/// inode that is read a thousand times meanwhile is handed out once.
final class LazyTimes: Sendable {
    private struct Waiting {
        var inodes: Set<InodeID> = []
        var isStopping = false
    }

    private let waiting = Monitor(Waiting())
    private let thread = Locked<WorkerThread?>(nil)

    /// Starts the thread. `store` is called for one inode after the other.
    func start(everyMilliseconds interval: Int, store: @escaping @Sendable (InodeID) -> Void) {
        let worker = WorkerThread(name: "apus-times") { [self] in
            while waitForWork(), collect(forMilliseconds: interval) {
                for inode in take() { store(inode) }
            }
        }
        thread.withLock { $0 = worker }
    }

    func add(_ inode: InodeID) {
        let isFirst = waiting.withLock { waiting in
            let wasEmpty = waiting.inodes.isEmpty
            waiting.inodes.insert(inode)
            return wasEmpty
        }
        if isFirst { waiting.change { _ in } }
    }

    /// Ends the thread; what still waits is for the caller's own flush.
    func stop() {
        waiting.change { $0.isStopping = true }
        thread.withLock { $0 }?.join()
    }

    private func take() -> Set<InodeID> {
        waiting.withLock { waiting in
            defer { waiting.inodes = [] }
            return waiting.inodes
        }
    }

    /// False when it is time to end.
    private func waitForWork() -> Bool {
        waiting.wait { waiting in
            if waiting.isStopping { return false }
            return waiting.inodes.isEmpty ? nil : true
        } ?? false
    }

    /// Lets more inodes come for a while. False when it is time to end.
    private func collect(forMilliseconds interval: Int) -> Bool {
        let stopped: Bool? = waiting.wait(until: .after(milliseconds: interval)) {
            $0.isStopping ? true : nil
        }
        return stopped == nil
    }
}
