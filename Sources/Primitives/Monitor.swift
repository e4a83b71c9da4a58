public import Glibc

/// A value behind a mutex, with a condition variable for threads that wait until it has changed.
/// The condition uses the monotonic clock, so a change of the host's time lengthens no wait.
public struct Monitor<Value>: ~Copyable, @unchecked Sendable {
    // SAFETY: allocated in init, freed in deinit, not copyable; neither object may move in memory.
    @usableFromInline let storage: UnsafeMutablePointer<Value>
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline let condition: UnsafeMutablePointer<pthread_cond_t>

    public init(_ value: consuming Value) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: value)
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        storage.deinitialize(count: 1)
        storage.deallocate()
    }

    /// Runs `body` alone, without waking anybody.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&storage.pointee)
    }

    /// Runs `body` alone, then wakes every waiting thread.
    @inlinable
    public borrowing func change<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&storage.pointee)
    }

    /// Waits until `body`, run alone at the start and after each change, returns a result; `nil` once
    /// `deadline` has passed. Without a deadline it waits for as long as it takes.
    @inlinable
    public borrowing func wait<Result>(
        until deadline: Deadline? = nil, for body: (inout Value) -> Result?
    ) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&storage.pointee) { return result }
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            if deadline.hasPassed { return nil }
            var instant = timespec(
                tv_sec: Int(deadline.monotonicNanoseconds / 1_000_000_000),
                tv_nsec: Int(deadline.monotonicNanoseconds % 1_000_000_000))
            pthread_cond_timedwait(condition, mutex, &instant)
        }
    }
}
