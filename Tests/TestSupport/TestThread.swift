import Primitives

/// A thread of a test. What goes wrong in its body (`#expect`, `Issue.record`) is an issue of the test that
/// made it; in any other thread it would belong to no test, and the test would be shown as passed.
///
/// The body is the one job of a task, which inherits what Swift Testing knows the test by, and is carried out
/// by a thread of its own, so it may wait for as long as it likes.
public final class TestThread: TaskExecutor, Sendable {
    private let name: String
    private let thread = Monitor<WorkerThread?>(nil)

    public init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        Task(executorPreference: self) { body() }
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let started = WorkerThread(name: name) { [self] in
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
        thread.change { $0 = started }
    }

    /// Waits until the body has returned. Only the first call waits.
    public func join() { thread.wait { $0 }?.join() }
}
