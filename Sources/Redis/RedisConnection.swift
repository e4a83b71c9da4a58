import CHiredis
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
/// hiredis connects; all commands and replies go through the context's descriptor without it. One thread may
/// send while another receives; `shutdown` comes from any thread.
final class RedisConnection: @unchecked Sendable {
    /// Names the server process and, within it, this connection; `nil` where the server does not tell.
    let identity: RedisIdentity?
    let address: RedisEndpoint.Address
    let greeting: RedisGreeting
    /// The session whose name the connection bears, and whether that was there when it got the name.
    let session: (key: Bytes, isThere: Bool)?
    let socket: RedisSocket
    let reader: ReplyReader

    // SAFETY: owned; freed in deinit, when no thread has a reference to this object any more.
    private let context: UnsafeMutablePointer<redisContext>

    /// Connects and greets. `timeoutMilliseconds` bounds the connecting and each step of the greeting.
    /// `shouldGiveUp` is asked at each tick of a later wait; `true` ends it with `LinkFailure.timedOut`.
    init(
        _ address: RedisEndpoint.Address, _ endpoint: RedisEndpoint, _ options: RedisOptions,
        moreScripts: [Script] = [], session: Bytes? = nil,
        timeoutMilliseconds: Int,
        shouldGiveUp: @escaping @Sendable () -> Bool
    ) throws(ConnectFailure) {
        let timeout = max(1, timeoutMilliseconds)
        let deadline = Deadline.after(milliseconds: timeout)
        let context = try HiredisLink.connect(address, timeout)
        let limit = Conversation.Limit()
        let socket: RedisSocket
        do throws(ConnectFailure) {
            socket = try HiredisLink.socket(of: context, address, endpoint.tls, until: deadline) {
                limit.hasPassed || shouldGiveUp()
            }
            let conversation = Conversation(socket, limit)
            let welcome = try Greeting(conversation, stepMilliseconds: timeout)
                .greet(endpoint, options, moreScripts, session: session)
            guard !conversation.hasBytes else {
                throw .rejected(.protocolViolation("the server answers more than it was asked"))
            }
            greeting = welcome.greeting
            self.session = session.map { ($0, welcome.hasSession) }
            identity = welcome.identity
        } catch {
            redisFree(context)
            throw error
        }
        limit.lift()
        self.context = context
        self.address = address
        self.socket = socket
        reader = ReplyReader(source: socket)
    }

    deinit { redisFree(context) }

    /// Whether blocks of `session` may go over it: whoever deletes the session ends it then.
    func isGood(for session: Bytes?) -> Bool {
        guard let session else { return true }
        return self.session.map { $0.key == session && $0.isThere } ?? false
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
    /// The number of this connection at the server.
    var clientID: Int64?
}
