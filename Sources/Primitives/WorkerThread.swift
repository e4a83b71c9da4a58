import CLinux
import Glibc

/// A named operating-system thread that runs one function and can be joined.
///
/// Threads, not tasks: a hop to a Swift task and back costs as much as a whole request
/// (docs/DESIGN.md, "Threads").
public final class WorkerThread: @unchecked Sendable {
    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let thread: pthread_t
    private let joined = Locked(false)

    /// Starts the thread. `name` shows in `top -H`; 15 bytes of it are kept.
    public init(name: String, body: @escaping @Sendable () -> Void) {
        // SAFETY: the new thread takes over the one reference that passRetained makes.
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var created = pthread_t()
        let result = pthread_create(
            &created, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                apusfs_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        precondition(result == 0, "the system refused a thread (pthread_create: \(result))")
        thread = created
    }

    /// A thread that nobody joined goes on, and the system cleans up after it.
    deinit {
        if !joined.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits until the function has returned. Only the first call waits.
    public func join() {
        let isFirst = joined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        if isFirst { pthread_join(thread, nil) }
    }
}
