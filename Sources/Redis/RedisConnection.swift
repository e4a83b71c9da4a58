import CHiredis
import CLinux
import Glibc
import KeyValue
import Primitives

/// Why there is no connection.
enum ConnectFailure: Error, Hashable {
    /// Nobody listens, or nobody answers.
    case unreachable(String)
    /// The server is there, but does not serve yet: it loads its data or waits for its primary.
    case notYet(String)
    /// The server does not want this client, or is not one that ApusFS can use.
    case rejected(StoreError)
}

/// One connection to a server, ready to use: authenticated, database selected, scripts loaded.
///
/// hiredis connects and speaks during the greeting; from then on commands and replies go through the
/// context's descriptor without it. One thread may send while another receives; `shutdown` comes from
/// any thread.
final class RedisConnection: ByteSource, @unchecked Sendable {
    /// How often a wait looks whether it should end.
    static let tickMilliseconds = 50

    /// Names the server process and, within it, this connection; `nil` where the server does not tell.
    let identity: RedisIdentity?
    let greeting: RedisGreeting
    private(set) lazy var reader = ReplyReader(source: self)

    // SAFETY: owned; freed in deinit, when no thread has a reference to this object any more.
    private let context: UnsafeMutablePointer<redisContext>
    private let descriptor: Int32

    /// Asked at each tick of a wait; `true` ends it with `LinkFailure.timedOut`. Set by the one who owns
    /// the connection before it is used.
    var shouldGiveUp: @Sendable () -> Bool = { false }

    /// Connects and greets. `timeoutMilliseconds` bounds the connecting and each step of the greeting.
    init(
        _ endpoint: RedisEndpoint, _ options: RedisOptions, timeoutMilliseconds: Int
    ) throws(ConnectFailure) {
        let context = try HiredisLink.connect(endpoint.address, max(1, timeoutMilliseconds))
        do throws(ConnectFailure) {
            let welcome = try HiredisLink.greet(context, endpoint, options)
            greeting = welcome.greeting
            identity = welcome.identity
        } catch {
            redisFree(context)
            throw error
        }
        self.context = context
        descriptor = context.pointee.fd
        var tick = timeval(tv_sec: 0, tv_usec: Self.tickMilliseconds * 1_000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &tick, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    deinit { redisFree(context) }

    /// Ends both directions at once: whoever sends or receives on it fails. What has not left this host
    /// is thrown away instead of being sent later.
    func shutdown() {
        var abort = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abort, socklen_t(MemoryLayout<linger>.size))
        Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Sends all pieces, in order; `pieces` is used up.
    func send(_ pieces: inout [iovec]) throws(LinkFailure) {
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

    /// IOV_MAX of Linux.
    private static let maximumPieces = 1_024

    func receive(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) throws(LinkFailure) -> Int {
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
        }
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

/// A connection as its server knows it.
struct RedisIdentity: Hashable, Sendable {
    /// Differs for each start of a server.
    let run: Bytes
    let client: Int64
}

/// What a server said when it was greeted.
struct RedisGreeting: Hashable, Sendable {
    var version: String
    var isReplica: Bool
}
