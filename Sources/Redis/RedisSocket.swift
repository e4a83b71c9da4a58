import CLinux
import Glibc
import Primitives

/// The descriptor of a connection that hiredis has made: gather writes, and reads straight to where the bytes
/// belong, or both by TLS. One thread may send while another receives; `shutdown` comes from any thread.
final class RedisSocket: ByteSource, @unchecked Sendable {
    /// How often a wait looks whether it should end.
    static let tickMilliseconds = 50

    /// How long a server may be silent before a connection is given up because a program was killed: others
    /// have to send again what they wait for.
    static let patientTicks = 10

    /// IOV_MAX of Linux.
    private static let maximumPieces = 1_024

    /// Owned by the hiredis context beside which this object stands.
    let descriptor: Int32
    private let tls: TLSSession?
    let shouldGiveUp: @Sendable () -> Bool
    /// The receiving thread's.
    private var polling: ReplyPolling? = ReplyPolling()

    init(
        descriptor: Int32, tls: TLSSession?, shouldGiveUp: @escaping @Sendable () -> Bool
    ) {
        self.descriptor = descriptor
        self.tls = tls
        self.shouldGiveUp = shouldGiveUp
        // A socket that cannot be limited is broken, which its first use tells.
        _ = apusfs_limit_socket_waits(descriptor, Int32(Self.tickMilliseconds))
    }

    /// Ends both directions at once: whoever sends or receives on it fails. What has not left this host
    /// is thrown away instead of being sent later.
    func shutdown() {
        var abort = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abort, socklen_t(MemoryLayout<linger>.size))
        Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// What comes is no reply, so nobody knows when. Called by the receiving thread.
    func expectMessages() { polling = nil }

    /// Whether the server has closed an idle connection; does not wait.
    var hasEnded: Bool {
        if let tls { return tls.hasEnded }
        var byte: UInt8 = 0
        let received = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        return received == 0 || received < 0 && errno != EAGAIN && errno != EINTR
    }

    /// Sends all pieces, in order; `pieces` is used up.
    func send(_ pieces: inout [iovec]) throws(LinkFailure) {
        if let tls { return try send(pieces, by: tls) }
        var next = 0
        while next < pieces.count {
            let count = min(pieces.count - next, Self.maximumPieces)
            let sent = pieces.withUnsafeMutableBufferPointer { buffer in
                var message = msghdr()
                message.msg_iov = buffer.baseAddress.map { $0 + next }
                message.msg_iovlen = count
                // Not SIGPIPE, but an error.
                return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
            }
            guard sent >= 0 else {
                try judge(errno)
                continue
            }
            var left = sent
            while next < pieces.count, left >= pieces[next].iov_len {
                left -= pieces[next].iov_len
                next += 1
            }
            if left > 0 {
                // SAFETY: left < iov_len, so the sum stays within the piece.
                pieces[next].iov_base = pieces[next].iov_base.map { $0 + left }
                pieces[next].iov_len -= left
            }
        }
    }

    func receive(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) throws(LinkFailure) -> Int {
        if let tls { return try receive(into: first, then: second, by: tls) }
        var silentTicks = 0
        if polling?.begin() == true, second.isEmpty {
            let received = poll(into: first)
            polling?.end(foundReply: received > 0)
            if received > 0 { return received }
        }
        while true {
            let received: Int
            if second.isEmpty {
                received = recv(descriptor, first.baseAddress, first.count, 0)
            } else {
                received = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { pieces in
                    pieces[0] = iovec(iov_base: first.baseAddress, iov_len: first.count)
                    pieces[1] = iovec(iov_base: second.baseAddress, iov_len: second.count)
                    return readv(descriptor, pieces.baseAddress, 2)
                }
            }
            if received > 0 { return received }
            if received == 0 { throw .closedByServer }
            try judge(errno)
            silentTicks += 1
            if silentTicks >= Self.patientTicks, Interruption.isRequested { throw .interrupted }
        }
    }

    /// Looks for bytes for a short while, and lets others have the CPU meanwhile. 0: sleep for them.
    private func poll(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let end = apusfs_monotonic_nanoseconds() + ReplyPolling.limitNanoseconds
        repeat {
            let received = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            if received > 0 { return received }
            // What is wrong the waiting call will find as well.
            guard received < 0, errno == EAGAIN else { return 0 }
            sched_yield()
        } while apusfs_monotonic_nanoseconds() < end
        return 0
    }

    /// Returns when the call should be made again.
    private func judge(_ code: Int32) throws(LinkFailure) {
        switch code {
        case EINTR: return
        case EAGAIN, EWOULDBLOCK: if shouldGiveUp() { throw .timedOut }
        case EPIPE, ECONNRESET: throw .closedByServer
        default: throw .system(code: code)
        }
    }
}
