import CFuse
import CLinux
import Glibc

/// What one worker thread keeps between requests and tells the callbacks that run on it: libfuse receives,
/// dispatches and sends a request on one thread, so a thread-local is how the three meet.
///
/// Lives in raw memory from the thread's first request until the server has stopped.
struct Worker {
    /// IOV_MAX of Linux: the segments of one writev(2), the header among them.
    static let segmentCapacity = 1_024

    /// Of the request that this thread received last.
    var opcode: UInt32 = 0
    /// The request asks to clear setuid and setgid (FUSE_WRITE_KILL_SUIDGID, FUSE_OPEN_KILL_SUIDGID).
    var clearsPrivileges = false
    /// The thread of a program whose request is being served; 0 when the kernel does not say.
    var callerProcess: Int32 = 0

    /// Of a request that came over io_uring: where its answer goes.
    var entry: Unmanaged<RingEntry>?
    /// `entry` is answered later, and may be another thread's already.
    var hasDeferred = false

    /// Segments of the reply being sent, from index 1 on; index 0 is kept for the header.
    let segments: UnsafeMutablePointer<iovec>
    /// Lent segments; 0 except while a gathered reply is being sent.
    var lentSegmentCount = 0

    private var scratch: UnsafeMutableRawPointer?
    private var scratchByteCount = 0

    private init() {
        segments = .allocate(capacity: Self.segmentCapacity)
        segments.initialize(repeating: iovec(), count: Self.segmentCapacity)
    }

    /// Memory of the thread's own of at least `byteCount` bytes, kept for the next request. Nothing that
    /// stood there before survives.
    mutating func scratch(atLeast byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if scratchByteCount < byteCount {
            scratch?.deallocate()
            scratch = .allocate(byteCount: byteCount, alignment: 4_096)
            scratchByteCount = byteCount
        }
        return UnsafeMutableRawBufferPointer(start: scratch, count: byteCount)
    }

    // MARK: The calling thread's

    /// `nil` on a thread that never received a request.
    static var current: UnsafeMutablePointer<Worker>? {
        // SAFETY: the slot is written by `make` alone, and freed workers' threads are joined.
        apusfs_fuse_worker()?.assumingMemoryBound(to: Worker.self)
    }

    /// Makes the calling thread's worker. The caller frees it once the thread is gone.
    static func make() -> UnsafeMutablePointer<Worker> {
        let worker = UnsafeMutablePointer<Worker>.allocate(capacity: 1)
        worker.initialize(to: Worker())
        apusfs_set_fuse_worker(worker)
        return worker
    }

    static func free(_ worker: UnsafeMutablePointer<Worker>) {
        worker.pointee.segments.deallocate()
        worker.pointee.scratch?.deallocate()
        worker.deinitialize(count: 1)
        worker.deallocate()
    }
}
