import CFuse
import FileSystem
import Glibc
import Primitives

/// A request that libfuse decoded and that waits for its one answer. Every function below that answers
/// uses the request up. They return whether the kernel took the answer: a kernel reference or a handle
/// in an answer that it did not take must be given back.
struct Request {
    // SAFETY: libfuse keeps it alive until it is answered, on the worker that calls the handler.
    private let pointer: OpaquePointer
    let worker: UnsafeMutablePointer<Worker>

    init(_ pointer: OpaquePointer, _ worker: UnsafeMutablePointer<Worker>) {
        self.pointer = pointer
        self.worker = worker
    }

    var caller: Caller {
        guard let context = fuse_req_ctx(pointer) else {
            return Caller(userID: 0, groupID: 0, processID: 0)
        }
        return Caller(
            userID: context.pointee.uid, groupID: context.pointee.gid,
            processID: context.pointee.pid, umask: context.pointee.umask)
    }

    /// The kernel asks to clear setuid and setgid with this request.
    var clearsPrivileges: Bool { worker.pointee.clearsPrivileges }

    /// The same request, to be answered from any thread.
    func deferAnswer() -> DeferredRequest {
        worker.pointee.deferAnswer()
        return DeferredRequest(pointer: pointer)
    }

    // MARK: Answers

    /// No answer is expected (forget).
    func end() { fuse_reply_none(pointer) }

    @discardableResult
    func fail(_ errno: Errno) -> Bool { fuse_reply_err(pointer, errno.rawValue) == 0 }

    @discardableResult
    func succeed() -> Bool { fuse_reply_err(pointer, 0) == 0 }

    /// One of the kernel's structs (linux/fuse.h).
    @discardableResult
    func reply(_ value: some BitwiseCopyable) -> Bool {
        withUnsafeBytes(of: value) { reply(bytes: $0) }
    }

    @discardableResult
    func reply(bytes: UnsafeRawBufferPointer) -> Bool {
        fuse_reply_buf(
            pointer, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count) == 0
    }

    /// The bytes of all pieces, sent from where they lie: libfuse makes the header, the transport puts the
    /// pieces behind it, in one writev(2). (`fuse_reply_iov` of 3.14 would allocate its segments.)
    @discardableResult
    func reply(pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Bool {
        guard pieces.count < Worker.segmentCapacity else { return reply(copyOf: pieces) }
        let segments = worker.pointee.segments
        var count = 0
        for piece in pieces where piece.count > 0 {
            count += 1
            segments[count] = iovec(
                iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress),
                iov_len: piece.count)
        }
        worker.pointee.lentSegmentCount = count
        defer { worker.pointee.lentSegmentCount = 0 }
        return fuse_reply_buf(pointer, nil, 0) == 0
    }

    /// For more pieces than one writev(2) takes.
    private func reply(copyOf pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Bool {
        let total = pieces.reduce(0) { $0 + $1.count }
        let scratch = worker.pointee.scratch(atLeast: total)
        var position = 0
        for piece in pieces where piece.count > 0 {
            UnsafeMutableRawBufferPointer(rebasing: scratch[position...]).copyMemory(from: piece)
            position += piece.count
        }
        return reply(bytes: UnsafeRawBufferPointer(scratch))
    }

    /// The same through a pipe, whose pages move into the page cache (`--splice`).
    @discardableResult
    func replySpliced(pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Bool {
        // SAFETY: the vector lies in the thread's scratch memory, sized for it; libfuse reads it and
        // copies the pieces into the pipe before it returns.
        let headBytes = MemoryLayout<fuse_bufvec>.size - MemoryLayout<fuse_buf>.stride
        let scratch = worker.pointee.scratch(
            atLeast: headBytes + (pieces.count + 1) * MemoryLayout<fuse_buf>.stride)
        guard let base = scratch.baseAddress else { return reply(pieces: pieces) }
        let vector = base.bindMemory(to: fuse_bufvec.self, capacity: 1)
        vector.pointee = fuse_bufvec()
        vector.pointee.count = pieces.count
        let buffers = (base + headBytes).assumingMemoryBound(to: fuse_buf.self)
        for (index, piece) in pieces.enumerated() {
            var buffer = fuse_buf()
            buffer.size = piece.count
            buffer.mem = UnsafeMutableRawPointer(mutating: piece.baseAddress)
            buffer.fd = -1
            buffers[index] = buffer
        }
        return fuse_reply_data(pointer, vector, FUSE_BUF_SPLICE_MOVE) == 0
    }

    /// Whether a reply of these pieces fits the pipe that libfuse 3.14 makes for it (1 MiB at most for an
    /// unprivileged process; it counts two pages and one for each piece beside the bytes). libfuse would
    /// otherwise copy everything once more.
    static func fitsPipe(_ pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Bool {
        let total = pieces.reduce(0) { $0 + $1.count }
        return total >= 2 * pageBytes && total + (pieces.count + 3) * pageBytes <= pipeBytes
    }

    private static let pageBytes = 4_096
    private static let pipeBytes = 1 << 20
}
