import CHiredis
import Glibc
import KeyValue
import Primitives

/// What hiredis is used for: connecting.
enum HiredisLink {
    typealias Context = UnsafeMutablePointer<redisContext>

    static func connect(
        _ address: RedisEndpoint.Address, _ timeoutMilliseconds: Int
    ) throws(ConnectFailure) -> Context {
        let limit = timeval(
            tv_sec: timeoutMilliseconds / 1_000, tv_usec: timeoutMilliseconds % 1_000 * 1_000)
        let made: Context?
        switch address {
        case .tcp(let host, let port):
            made = redisConnectWithTimeout(host, Int32(clamping: port), limit)
        case .unix(let path):
            guard path.utf8.count < 108 else {
                throw .rejected(.unavailable("the path of the socket is longer than 107 bytes"))
            }
            made = redisConnectUnixWithTimeout(path, limit)
        }
        guard let context = made else { throw .unreachable("out of memory") }
        guard context.pointee.err == 0 else {
            defer { redisFree(context) }
            throw .unreachable(errorText(context))
        }
        if case .tcp = address { redisEnableKeepAlive(context) }
        return context
    }

    /// The socket of `context`, by TLS if that is wanted, which is begun within the time until `deadline`.
    static func socket(
        of context: Context, _ address: RedisEndpoint.Address, _ tls: TLSOptions?,
        until deadline: Deadline, shouldGiveUp: @escaping @Sendable () -> Bool
    ) throws(ConnectFailure) -> RedisSocket {
        let descriptor = context.pointee.fd
        var session: TLSSession?
        if let tls { session = try TLSSession(descriptor, address, tls, until: deadline) }
        return RedisSocket(descriptor: descriptor, tls: session, shouldGiveUp: shouldGiveUp)
    }

    /// Asks a sentinel where the primary `name` is; all of it ends in about `timeoutMilliseconds`. Credentials
    /// are sent only if it wants some.
    static func ask(
        _ sentinel: RedisEndpoint.Address, _ name: String, _ endpoint: RedisEndpoint,
        _ timeoutMilliseconds: Int
    ) throws(ConnectFailure) -> SentinelAnswer {
        let deadline = Deadline.after(milliseconds: timeoutMilliseconds)
        let context = try connect(sentinel, timeoutMilliseconds)
        defer { redisFree(context) }
        let limit = Conversation.Limit()
        let socket = try socket(of: context, sentinel, endpoint.tls, until: deadline) {
            limit.hasPassed
        }
        let conversation = Conversation(socket, limit)
        let question = RedisCommand(
            "SENTINEL", Bytes("GET-MASTER-ADDR-BY-NAME".utf8), Bytes(name.utf8))
        conversation.ask(question)
        let answer = SentinelAnswer(try conversation.reply(until: deadline))
        guard answer == .wantsPassword else { return answer }
        let credentials: [String]
        if let password = endpoint.sentinelPassword {
            credentials = [password]
        } else if let password = endpoint.password {
            credentials = (endpoint.user.map { [$0] } ?? []) + [password]
        } else {
            return answer
        }
        conversation.ask(RedisCommand("AUTH", credentials.map { Bytes($0.utf8) }))
        conversation.ask(question)
        if case .error(let text) = try conversation.reply(until: deadline) {
            return SentinelAnswer(.error(text))
        }
        return SentinelAnswer(try conversation.reply(until: deadline))
    }

    private static func errorText(_ context: Context) -> String {
        // What hiredis makes of a receive time limit is "Resource temporarily unavailable".
        if context.pointee.err == REDIS_ERR_IO, errno == EAGAIN { return LinkFailure.timedOut.text }
        return withUnsafeBytes(of: context.pointee.errstr) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
