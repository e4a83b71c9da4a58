public import Glibc

/// A value behind a mutex. The mutex is a pthread one: it costs what `Synchronization.Mutex` costs
/// (10 ns) and ThreadSanitizer understands it, which on Linux it does not for the latter.
public struct Locked<Value>: ~Copyable, @unchecked Sendable {
    /// The mutex and, if it is small, the value share one cache line, and neighbours do not.
    private static var lineBytes: Int { 64 }

    // SAFETY: one allocation, made in init and freed in deinit, holds the mutex and behind it the value;
    // this struct cannot be copied. A mutex must not move, which is why it does not stand in the struct.
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline let storage: UnsafeMutablePointer<Value>

    public init(_ value: consuming Value) {
        let alignment = max(Self.lineBytes, MemoryLayout<Value>.alignment)
        let valueAlignment = MemoryLayout<Value>.alignment
        let offset =
            (MemoryLayout<pthread_mutex_t>.size + valueAlignment - 1) / valueAlignment
            * valueAlignment
        let used = offset + MemoryLayout<Value>.size
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: (used + Self.lineBytes - 1) / Self.lineBytes * Self.lineBytes,
            alignment: alignment)
        mutex = memory.initializeMemory(as: pthread_mutex_t.self, to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        storage = (memory + offset).initializeMemory(as: Value.self, to: value)
    }

    deinit {
        storage.deinitialize(count: 1)
        pthread_mutex_destroy(mutex)
        UnsafeMutableRawPointer(mutex).deallocate()
    }

    /// Runs `body` alone. It must not wait for anything but the locks that rank below this one, nor
    /// log, nor call into libfuse or hiredis.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&storage.pointee)
    }
}
