import Glibc

/// A value behind a mutex. The mutex is a pthread one: it costs what `Synchronization.Mutex` costs
/// (10 ns) and ThreadSanitizer understands it, which on Linux it does not for the latter.
public struct Locked<Value>: ~Copyable, @unchecked Sendable {
    // SAFETY: allocated in init, freed in deinit, and this struct cannot be copied; the mutex must not
    // move in memory, which is why it does not stand in the struct itself.
    private let storage: UnsafeMutablePointer<Value>
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    public init(_ value: consuming Value) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: value)
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        storage.deinitialize(count: 1)
        storage.deallocate()
    }

    /// Runs `body` alone. It must not wait for anything but the locks that rank below this one, nor
    /// log, nor call into libfuse or hiredis.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try body(&pointer.pointee)
    }

    @usableFromInline borrowing func lock() { pthread_mutex_lock(mutex) }
    @usableFromInline borrowing func unlock() { pthread_mutex_unlock(mutex) }
    @usableFromInline var pointer: UnsafeMutablePointer<Value> { storage }
}
