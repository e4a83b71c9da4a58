import CFuse
import Glibc
import Primitives

/// The payload of a WRITE that may lie in a pipe.
enum SplicedPayload {
    /// The bytes of `vector` in memory: where they are, or read from the pipe into the thread's own memory.
    /// Lent until the request is answered. A pipe is read to its end, which libfuse needs to use it again.
    static func bytes(
        of vector: UnsafeMutablePointer<fuse_bufvec>, _ worker: UnsafeMutablePointer<Worker>
    ) throws(Errno) -> UnsafeRawBufferPointer {
        let isInPipe = vector.pointee.buf.flags.rawValue & FUSE_BUF_IS_FD.rawValue != 0
        let count = fuse_buf_size(vector)
        if vector.pointee.count == 1, !isInPipe {
            return UnsafeRawBufferPointer(
                start: vector.pointee.buf.mem?.advanced(by: vector.pointee.off), count: count)
        }
        let memory = worker.pointee.scratch(atLeast: count)
        var target = fuse_bufvec()
        target.count = 1
        target.buf.size = count
        target.buf.mem = memory.baseAddress
        target.buf.fd = -1
        let copied = fuse_buf_copy(&target, vector, fuse_buf_copy_flags(0))
        guard copied == count else {
            throw Errno(rawValue: copied < 0 ? Int32(-copied) : EIO)
        }
        return UnsafeRawBufferPointer(memory)
    }
}
