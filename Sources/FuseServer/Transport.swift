import CFuse
import CLinux
import Glibc
import Primitives
import Synchronization

/// The four ways in and out of the kernel, given to libfuse by `fuse_session_custom_io`. They run on the
/// worker that then dispatches the request (or has just done so).
///
/// This is the seam for another transport: it needs a `receive` that leaves one request in the buffer and
/// its facts in the `Worker`, and a `send` that delivers header and segments.
///
/// libfuse 3.14 hands the callbacks the descriptor of the calling worker, so that descriptors cloned by
/// `fuse_session_loop_mt` work with them: an answer goes to the descriptor that its request came from.
enum Transport {
    static func callbacks(splice: Bool) -> fuse_custom_io {
        var io = fuse_custom_io()
        io.read = { descriptor, buffer, count, server in
            Transport.receive(descriptor, buffer, count, server)
        }
        io.writev = { descriptor, segments, count, server in
            Transport.send(descriptor, segments, count, server)
        }
        guard splice else { return io }
        io.splice_receive = { from, _, to, _, count, flags, server in
            Transport.refuseCancellation()
            let received = apusfs_splice(from, to, count, flags)
            if received > 0 {
                Transport.server(server) { server in
                    server.ownWorker().pointee.forgetRequest()
                    server.splicedRequests.wrappingAdd(1, ordering: .relaxed)
                }
            }
            return Transport.translated(received, server)
        }
        io.splice_send = { from, _, to, _, count, flags, server in
            let sent = apusfs_splice(from, to, count, flags)
            if sent > 0 {
                Transport.server(server) { $0.splicedReplies.wrappingAdd(1, ordering: .relaxed) }
            }
            return sent
        }
        return io
    }

    /// libfuse cancels workers that still wait when the session ends, which would unwind them through Swift
    /// frames. No worker needs that: sessions end by ENODEV, which wakes them all, and when one ends
    /// otherwise the connection is aborted (`connectionFailed`).
    private static func refuseCancellation() {
        pthread_setcancelstate(Int32(PTHREAD_CANCEL_DISABLE), nil)
    }

    /// read(2) of one request, with a look at what libfuse will not tell.
    static func receive(
        _ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int,
        _ server: UnsafeMutableRawPointer?
    ) -> Int {
        refuseCancellation()
        let received = Glibc.read(descriptor, buffer, count)
        guard received > 0, let buffer else { return translated(received, server) }
        // SAFETY: the kernel filled this many bytes; the view ends with this call.
        let request = RawRequest(UnsafeRawBufferPointer(start: buffer, count: received))
        Transport.server(server) { server in
            let worker = server.ownWorker()
            worker.pointee.opcode = request.opcode
            worker.pointee.clearsPrivileges = request.clearsPrivileges
            if let arguments = request.initialization { server.initializationArrived(arguments) }
        }
        return received
    }

    /// writev(2) of one answer or notification, with the segments that the handler lends.
    private static func send(
        _ descriptor: Int32, _ segments: UnsafeMutablePointer<iovec>?, _ count: Int32,
        _ server: UnsafeMutableRawPointer?
    ) -> Int {
        guard let segments else { return writev(descriptor, segments, count) }
        if let sent = sendOverRing(segments, count, server) { return sent }
        guard let worker = Worker.current else { return writev(descriptor, segments, count) }
        if worker.pointee.lentSegmentCount > 0 {
            return gather(descriptor, header: segments[0], worker)
        }
        if fuse_opcode(worker.pointee.opcode) == FUSE_INIT {
            guard count == 2 else {
                // An error: libfuse ends the session.
                let sent = writev(descriptor, segments, count)
                Transport.server(server) { $0.connectionFailed(.notSupported) }
                return sent
            }
            var sent = -1
            Transport.server(server) { server in
                server.amendInitialization(segments[1])
                sent = writev(descriptor, segments, count)
                if sent > 0 { server.initializationAnswered() }
            }
            return sent
        }
        return writev(descriptor, segments, count)
    }

    /// `nil` for an answer to a request that came by the device, and for a notification.
    private static func sendOverRing(
        _ segments: UnsafeMutablePointer<iovec>, _ count: Int32,
        _ server: UnsafeMutableRawPointer?
    ) -> Int? {
        // SAFETY: libfuse's header is a fuse_out_header on its stack, alive during this call.
        guard
            let header = segments[0].iov_base?.assumingMemoryBound(to: fuse_out_header.self)
                .pointee,
            header.unique != 0
        else { return nil }
        let worker = Worker.current
        var parts = UnsafeBufferPointer(start: segments + 1, count: Int(count) - 1)
        // A handler may also answer requests of others, whose locks it has set free.
        if let worker, !worker.pointee.hasDeferred,
            let entry = worker.pointee.entry?.takeUnretainedValue(),
            entry.unique == header.unique
        {
            if worker.pointee.lentSegmentCount > 0 {
                parts = UnsafeBufferPointer(
                    start: worker.pointee.segments + 1, count: worker.pointee.lentSegmentCount)
            }
            return entry.answer(header.error, parts)
        }
        var sent: Int?
        Transport.server(server) { server in
            guard !server.deferredAnswers.isEmpty,
                let entry = server.deferredAnswers.take(header.unique)
            else { return }
            sent = entry.answer(header.error, parts)
            if let worker, worker.pointee.entry?.takeUnretainedValue() === entry {
                worker.pointee.hasDeferred = false
            } else {
                entry.owner.send(entry)
            }
        }
        return sent
    }

    /// Sends libfuse's header, with the length set right, and the lent segments in one call.
    private static func gather(
        _ descriptor: Int32, header: iovec, _ worker: UnsafeMutablePointer<Worker>
    ) -> Int {
        let segments = worker.pointee.segments
        let count = worker.pointee.lentSegmentCount + 1
        segments[0] = header
        var byteCount = 0
        for index in 0..<count { byteCount += segments[index].iov_len }
        // SAFETY: libfuse's header is a fuse_out_header on its stack, alive during this call.
        header.iov_base?.assumingMemoryBound(to: fuse_out_header.self).pointee.len =
            UInt32(byteCount)
        return writev(descriptor, segments, Int32(count))
    }

    /// After an abort the kernel answers ECONNABORTED (FUSE_ABORT_ERROR); libfuse knows only ENODEV as an
    /// orderly end. After any other error that is more than a passing one libfuse gives up.
    private static func translated(_ result: Int, _ server: UnsafeMutableRawPointer?) -> Int {
        guard result < 0 else { return result }
        let code = errno
        switch code {
        case ENODEV, EINTR, EAGAIN, ENOENT: break
        case ECONNABORTED: Transport.server(server) { $0.connectionAborted() }
        default: Transport.server(server) { $0.connectionFailed(Errno(rawValue: code)) }
        }
        errno = code == ECONNABORTED ? ENODEV : code
        return result
    }

    private static func server(
        _ pointer: UnsafeMutableRawPointer?, _ body: (FuseServer) -> Void
    ) {
        guard let pointer else { return }
        // SAFETY: the session's userdata is the server, which outlives its session.
        Unmanaged<FuseServer>.fromOpaque(pointer)._withUnsafeGuaranteedRef { body($0) }
    }
}

extension Worker {
    /// The answer to the request over io_uring, if it is one, comes later and from any thread.
    mutating func deferAnswer() {
        guard let entry, !hasDeferred else { return }
        hasDeferred = true
        entry._withUnsafeGuaranteedRef { $0.owner.defers($0) }
    }

    /// The request went into a pipe unseen.
    fileprivate mutating func forgetRequest() {
        opcode = 0
        clearsPrivileges = false
    }
}
