import Glibc
public import KeyValue
import Primitives
import Synchronization

/// A connection of one caller's own, for what a shared one cannot hold: WATCH, and the transaction that
/// depends on it. Used by one thread at a time. It is not made again when it is lost: what was watched is
/// lost with it.
public final class RedisSession: @unchecked Sendable {
    private final class Limit: Sendable {
        let deadline = Atomic<Int64>(0)

        var hasPassed: Bool {
            Deadline(monotonicNanoseconds: deadline.load(ordering: .relaxed)).hasPassed
        }
    }

    private let connection: RedisConnection
    private let store: RedisStore
    private let limit: Limit
    private let commands = CommandBuffer()
    /// Whether the connection was lost: every call fails from then on.
    public private(set) var isLost = false

    fileprivate init(_ store: RedisStore, until deadline: Deadline) throws(ConnectFailure) {
        let limit = Limit()
        limit.deadline.store(deadline.monotonicNanoseconds, ordering: .relaxed)
        self.store = store
        self.limit = limit
        connection = try store.connector.connect(
            timeoutMilliseconds: min(
                store.options.connectTimeoutMilliseconds, deadline.remainingMilliseconds)
        ) { limit.hasPassed || store.isClosed }
    }

    /// Has the server carry out `commands` in one round trip. Throws when the connection is lost before
    /// all replies have come: then nobody knows which of them happened, but none will happen later.
    public func perform(_ list: [RedisCommand]) throws(StoreError) -> [Reply] {
        guard !isLost else { throw .unavailable("the connection was lost earlier") }
        limit.deadline.store(store.deadline().monotonicNanoseconds, ordering: .relaxed)
        store.countTrip()
        commands.clear()
        for command in list { commands.add(command) }
        do throws(LinkFailure) {
            var pieces: [iovec] = []
            commands.appendPieces(to: &pieces)
            try connection.socket.send(&pieces)
            var replies: [Reply] = []
            for _ in list { replies.append(try connection.reader.readReply()) }
            guard store.connector.leavesReplicas,
                replies.contains(where: { $0.failure == .readOnly })
            else { return replies }
            throw .demoted
        } catch {
            isLost = true
            connection.socket.shutdown()
            store.bury(connection)
            throw .unavailable("\(store.endpoint): \(error.text)")
        }
    }

    /// Whether the server has closed the connection; does not wait.
    public var hasEnded: Bool {
        isLost || connection.socket.hasEnded || store.connector.hasLeft(connection)
    }

    deinit { connection.socket.shutdown() }
}

extension RedisStore {
    /// Connects anew, for as long as a call may take.
    public func makeSession() throws(StoreError) -> RedisSession {
        let deadline = deadline()
        var policy = ReconnectPolicy()
        while true {
            if isClosed { throw .closed }
            do throws(ConnectFailure) {
                return try RedisSession(self, until: deadline)
            } catch {
                if case .rejected(let reason) = error { throw reason }
                if deadline.hasPassed { throw .unavailable("\(endpoint): \(error.text)") }
                pause(milliseconds: policy.pauseMilliseconds(), deadline)
            }
        }
    }
}
