import KeyValue
import Primitives

/// Makes the connections of a store: to its server or, by Sentinel, to whichever server is the primary at
/// that moment. The shared part is which sentinel to ask first and where the primary was last.
final class RedisConnector: Sendable {
    private struct State {
        var order: SentinelOrder
        /// By Sentinel: the server of the last connection.
        var primary: RedisEndpoint.Address?
        var onMove: (@Sendable (RedisEndpoint.Address) -> Void)?
    }

    let endpoint: RedisEndpoint
    let options: RedisOptions
    /// Rank: a leaf.
    private let state: Locked<State>

    init(_ endpoint: RedisEndpoint, _ options: RedisOptions) {
        self.endpoint = endpoint
        self.options = options
        var count = 0
        if case .sentinels(let group) = endpoint.place { count = group.sentinels.count }
        state = Locked(State(order: SentinelOrder(count: count)))
    }

    /// Whether a server that takes no changes was meant to be another one: then its refusals are no answers.
    var leavesReplicas: Bool {
        if case .sentinels = endpoint.place { return !options.acceptsReplica }
        return false
    }

    /// `handler` is told when a connection was made to another server than the one before: those to the other
    /// are to be given up.
    func onMove(_ handler: @escaping @Sendable (RedisEndpoint.Address) -> Void) {
        state.withLock { $0.onMove = handler }
    }

    /// Whether a newer connection leads to another server.
    func hasLeft(_ connection: RedisConnection) -> Bool {
        state.withLock { $0.primary.map { $0 != connection.address } ?? false }
    }

    /// Connects and greets. `timeoutMilliseconds` bounds finding the primary and connecting together, and each
    /// step of the greeting. `shouldGiveUp` is asked at each tick of a later wait.
    func connect(
        moreScripts: [Script] = [], session: Bytes? = nil, timeoutMilliseconds: Int,
        shouldGiveUp: @escaping @Sendable () -> Bool
    ) throws(ConnectFailure) -> RedisConnection {
        switch endpoint.place {
        case .server(let address):
            return try RedisConnection(
                address, endpoint, options, moreScripts: moreScripts, session: session,
                timeoutMilliseconds: timeoutMilliseconds, shouldGiveUp: shouldGiveUp)
        case .sentinels(let group):
            let deadline = Deadline.after(milliseconds: max(1, timeoutMilliseconds))
            let (address, sentinel) = try find(group, until: deadline)
            let connection: RedisConnection
            do throws(ConnectFailure) {
                connection = try RedisConnection(
                    address, endpoint, options, moreScripts: moreScripts, session: session,
                    timeoutMilliseconds: deadline.remainingMilliseconds,
                    shouldGiveUp: shouldGiveUp)
            } catch {
                // Sentinels go on naming a primary that is gone until another one is chosen.
                guard case .unreachable(let text) = error else { throw error }
                state.withLock { $0.order.didMislead(sentinel) }
                throw .notYet("\(group.primary) at \(address): \(text)")
            }
            guard options.acceptsReplica || !connection.greeting.isReplica else {
                state.withLock { $0.order.didMislead(sentinel) }
                throw .notYet("\(address) is no primary of \(group.primary) any more")
            }
            didMove(to: address)
            return connection
        }
    }

    private func didMove(to address: RedisEndpoint.Address) {
        let handler = state.withLock { state in
            defer { state.primary = address }
            return state.primary.map { $0 != address } ?? false ? state.onMove : nil
        }
        handler?(address)
    }

    /// Asks one sentinel after the other.
    private func find(
        _ group: SentinelGroup, until deadline: Deadline
    ) throws(ConnectFailure) -> (RedisEndpoint.Address, sentinel: Int) {
        let positions = state.withLock { $0.order.positions }
        var problems: [String] = []
        for (asked, position) in positions.enumerated() where !deadline.hasPassed {
            let sentinel = group.sentinels[position]
            let wait = SentinelOrder.waitMilliseconds(
                remaining: deadline.remainingMilliseconds, left: positions.count - asked)
            do throws(ConnectFailure) {
                switch try HiredisLink.ask(sentinel, group.primary, endpoint, wait) {
                case .primary(let address):
                    state.withLock { $0.order.didAnswer(position) }
                    return (address, position)
                case .unknownName:
                    problems.append("\(sentinel) knows no primary '\(group.primary)'")
                case .wantsPassword:
                    problems.append("\(sentinel) wants a password: APUSFS_SENTINEL_PASSWORD")
                case .useless(let text): problems.append("\(sentinel): \(text)")
                }
            } catch {
                problems.append("\(sentinel): \(error.text)")
            }
        }
        throw .unreachable("no sentinel names the primary: " + problems.joined(separator: ", "))
    }
}
