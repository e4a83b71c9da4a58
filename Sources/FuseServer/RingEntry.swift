import CFuse
import CUring
import Glibc
import Primitives
import Synchronization

/// Memory for one request over io_uring and its answer, shared with the kernel: the header, and the payload
/// of the largest request that INIT settled.
///
/// Used by one thread at a time: the ring thread that owns it, or whoever took a deferred one from
/// `DeferredAnswers`.
final class RingEntry: @unchecked Sendable {
    /// One page: the header at its start, and at its end the place where the request's two headers are
    /// joined to the payload, as libfuse wants to see them.
    private static let headBytes = 4_096

    unowned let owner: RingThread
    // SAFETY: one mapping, made in init and given back in deinit; the kernel writes to it only while the
    // entry is offered.
    private let memory: UnsafeMutableRawPointer
    private let payloadBytes: Int
    private(set) var unique: UInt64 = 0
    private(set) var commitID: UInt64 = 0
    /// Holds an answer that is to be handed to the kernel.
    private(set) var isAnswered = false

    /// `nil` when the system has no memory.
    init?(owner: RingThread, payloadBytes: Int) {
        guard
            let memory = mmap(
                nil, Self.headBytes + payloadBytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
        else { return nil }
        self.owner = owner
        self.memory = memory
        self.payloadBytes = payloadBytes
    }

    deinit { munmap(memory, Self.headBytes + payloadBytes) }

    private var header: UnsafeMutablePointer<apusfs_uring_header> {
        memory.assumingMemoryBound(to: apusfs_uring_header.self)
    }
    private var payload: UnsafeMutableRawPointer { memory + Self.headBytes }

    /// Gives the entry to the kernel. Returns 0 or an errno.
    func offer(on ring: OpaquePointer) -> Int32 {
        apusfs_ring_offer(ring, header, payload, payloadBytes, completionData)
    }

    /// What a completion of this entry carries.
    var completionData: UInt64 {
        UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
    }

    /// The request that the kernel left, in one piece as read(2) of the device would give it; `nil` when
    /// its lengths contradict each other.
    func begin() -> UnsafeMutableRawBufferPointer? {
        let facts = header.pointee.facts
        let request = memory.load(as: fuse_in_header.self)
        unique = request.unique
        commitID = facts.commit_id
        isAnswered = false
        let headerBytes = MemoryLayout<fuse_in_header>.size
        let operationBytes = Int(request.len) - headerBytes - Int(facts.payload_bytes)
        guard (0...Int(APUSFS_URING_HEADER_BYTES)).contains(operationBytes),
            Int(facts.payload_bytes) <= payloadBytes
        else { return nil }
        let operation = payload - operationBytes
        operation.copyMemory(
            from: memory + Int(APUSFS_URING_HEADER_BYTES), byteCount: operationBytes)
        let start = operation - headerBytes
        start.copyMemory(from: memory, byteCount: headerBytes)
        return UnsafeMutableRawBufferPointer(start: start, count: Int(request.len))
    }

    /// Puts an answer in the place of the request. Returns its bytes as writev(2) would, or -1 with EINVAL
    /// when it is too long.
    func answer(_ error: Int32, _ segments: UnsafeBufferPointer<iovec>) -> Int {
        var count = 0
        for segment in segments where segment.iov_len > 0 {
            guard let source = segment.iov_base, count + segment.iov_len <= payloadBytes else {
                errno = EINVAL
                return -1
            }
            memmove(payload + count, source, segment.iov_len)
            count += segment.iov_len
        }
        let headerBytes = MemoryLayout<fuse_out_header>.size
        memory.storeBytes(
            of: fuse_out_header(
                len: UInt32(headerBytes + count), error: error, unique: unique),
            as: fuse_out_header.self)
        header.pointee.facts.payload_bytes = UInt32(count)
        isAnswered = true
        return headerBytes + count
    }
}

/// Entries whose request is answered from another thread than the one that received it: blocking locks.
final class DeferredAnswers: Sendable {
    /// Rank: leaf.
    private let entries = Locked<[UInt64: RingEntry]>([:])
    private let count = Atomic(0)

    var isEmpty: Bool { count.load(ordering: .acquiring) == 0 }

    func add(_ entry: RingEntry) {
        entries.withLock { $0[entry.unique] = entry }
        count.wrappingAdd(1, ordering: .releasing)
    }

    /// The entry of the request `unique`, for the one who answers it.
    func take(_ unique: UInt64) -> RingEntry? {
        guard let entry = entries.withLock({ $0.removeValue(forKey: unique) }) else { return nil }
        count.wrappingSubtract(1, ordering: .relaxed)
        return entry
    }
}
