import Glibc
import KeyValue
import Logging
import Primitives
import Telemetry

/// Why an exchange was not answered.
enum LaneFailure: Error {
    case closed
    /// The connection was lost; `sent` says whether the commands may have reached the server.
    case lost(sent: Bool, LinkFailure)
    /// No connection by the deadline of the exchange.
    case unreachable(String)
    /// The server does not want this client.
    case rejected(StoreError)
}

/// A connection that callers share, made when it is first needed and again after it was lost.
///
/// `PipelineState` decides who writes and who reads; this class carries that out. Its lock ranks below
/// every lock of the modules above, and is held neither during I/O nor while a thread is woken.
final class Lane: Sendable {
    private enum Link {
        case down(Deadline)
        case connecting
        case up(RedisConnection)
        /// Lost; whoever still uses it is about to leave.
        case breaking
    }

    private struct State {
        var link = Link.down(Deadline(monotonicNanoseconds: 0))
        var policy = ReconnectPolicy()
        var pipeline = PipelineState()
        /// The exchanges of the tickets from `pipeline.answered` to `pipeline.submitted`.
        var exchanges: [Exchange] = []
        var lastProblem = "not connected yet"
        var hasBeenUp = false
        var isClosed = false
        /// For whom blocks were changed last: connections are made for that session, also by those who only
        /// read.
        var session: Bytes?

        func exchange(_ ticket: Int) -> Exchange { exchanges[ticket - pipeline.answered] }
    }

    private enum Entry {
        case submitted(RedisConnection, ticket: Int, PipelineState.Action, writes: [Exchange])
        case connect(session: Bytes?)
        /// The connection that is there is not good for the session's blocks, and in use.
        case leave
        case fenced
        case wait(until: Deadline)
        case closed
    }

    /// How long an exchange waits before it asks whether its program was killed.
    private static let patienceMilliseconds =
        RedisSocket.patientTicks * RedisSocket.tickMilliseconds

    let name: String
    private let connector: RedisConnector
    private let zombies: Zombies
    private let scripts: BatchScripts
    private let metrics: Metrics
    private let logger: Logger
    private let state = Monitor(State())

    init(
        name: String, connector: RedisConnector, zombies: Zombies, scripts: BatchScripts,
        metrics: Metrics, logger: Logger
    ) {
        self.name = name
        self.connector = connector
        self.zombies = zombies
        self.scripts = scripts
        self.metrics = metrics
        self.logger = logger
    }

    /// How many exchanges are under way; for choosing among lanes.
    var load: Int { state.withLock { $0.exchanges.count } }

    /// Sends the commands of `exchange` and returns once the replies to all of them have come.
    func perform(_ exchange: Exchange) throws(LaneFailure) {
        while true {
            switch enter(exchange) {
            case .closed: throw .closed
            case .connect(let session): try connect(session, exchange.deadline)
            case .fenced: throw .rejected(.fenced)
            // It was shut down, so whoever uses it is about to notice.
            case .leave: usleep(1_000)
            case .wait(let instant): try awaitLink(until: instant, exchange.deadline)
            case .submitted(let connection, let ticket, let action, let writes):
                return try carryOut(exchange, connection, ticket, action, writes)
            }
        }
    }

    /// Connects now, once, for the sake of a clear error.
    func connectOnce() throws(ConnectFailure) -> RedisGreeting {
        let connection = try make(
            nil, timeoutMilliseconds: connector.options.connectTimeoutMilliseconds)
        adopt(connection)
        return connection.greeting
    }

    func close() {
        let connection: RedisConnection? = state.change { state in
            state.isClosed = true
            guard case .up(let connection) = state.link else { return nil }
            return connection
        }
        connection?.socket.shutdown()
    }

    /// Gives the connection up, unless it leads to `address`; what waits on it is sent again where that is
    /// safe.
    func leave(unless address: RedisEndpoint.Address?) {
        let connection: RedisConnection? = state.withLock { state in
            guard case .up(let connection) = state.link, connection.address != address else {
                return nil
            }
            return connection
        }
        connection?.socket.shutdown()
    }

    // MARK: Coming by a connection

    private func enter(_ exchange: Exchange) -> Entry {
        state.withLock { state in
            if state.isClosed { return .closed }
            if let session = exchange.session { state.session = session }
            switch state.link {
            case .up(let connection) where !connection.isGood(for: exchange.session):
                // The right one, and the session was gone when it was made.
                if connection.session?.key == exchange.session { return .fenced }
                connection.socket.shutdown()
                guard state.pipeline.isIdle else { return .leave }
                state.link = .connecting
                return .connect(session: state.session)
            case .up(let connection)
            where !exchange.mayResend && state.pipeline.isIdle && connection.socket.hasEnded:
                // Found before anything was sent on it, so it is no loss.
                if let identity = connection.identity { zombies.add(identity) }
                state.link = .connecting
                return .connect(session: state.session)
            case .up(let connection):
                let (ticket, action) = state.pipeline.submit()
                state.exchanges.append(exchange)
                return .submitted(connection, ticket: ticket, action, writes: writes(action, state))
            case .down(let instant):
                guard instant.hasPassed else { return .wait(until: instant) }
                state.link = .connecting
                return .connect(session: state.session)
            case .connecting, .breaking:
                return .wait(until: exchange.deadline)
            }
        }
    }

    private func writes(_ action: PipelineState.Action, _ state: State) -> [Exchange] {
        guard case .write(let tickets) = action else { return [] }
        return tickets.map { state.exchange($0) }
    }

    private func awaitLink(until instant: Deadline, _ deadline: Deadline) throws(LaneFailure) {
        let tick = Deadline.after(milliseconds: Interruption.intervalMilliseconds)
        let changed: Void? = state.wait(until: min(instant, deadline, tick)) { state in
            if state.isClosed { return () }
            switch state.link {
            case .up: return ()
            case .down(let retry): return retry.hasPassed ? () : nil
            case .connecting, .breaking: return nil
            }
        }
        if changed == nil, tick.hasPassed, Interruption.isRequested {
            throw .unreachable(LinkFailure.interrupted.text)
        }
        if changed == nil, deadline.hasPassed {
            throw .unreachable(state.withLock { $0.lastProblem })
        }
    }

    /// The caller has been given the link to connect it.
    private func connect(_ session: Bytes?, _ deadline: Deadline) throws(LaneFailure) {
        let limit = min(
            connector.options.connectTimeoutMilliseconds, deadline.remainingMilliseconds)
        let failure: ConnectFailure
        do throws(ConnectFailure) {
            return adopt(try make(session, timeoutMilliseconds: limit))
        } catch {
            failure = error
        }
        state.change { state in
            state.link = .down(.after(milliseconds: state.policy.pauseMilliseconds()))
            state.lastProblem = failure.text
        }
        if case .rejected(let error) = failure { throw .rejected(error) }
        if Interruption.isRequested { throw .unreachable(LinkFailure.interrupted.text) }
        if deadline.hasPassed { throw .unreachable(failure.text) }
    }

    private func adopt(_ connection: RedisConnection) {
        let (isClosed, isAgain) = state.change { state in
            state.policy.didConnect()
            state.link = state.isClosed ? .down(.now) : .up(connection)
            defer { state.hasBeenUp = true }
            return (state.isClosed, state.hasBeenUp)
        }
        if isClosed { return connection.socket.shutdown() }
        guard isAgain else { return }
        metrics.add(.storeReconnects)
        logger.notice("connected to the store again", metadata: ["lane": "\(name)"])
    }

    private func make(
        _ session: Bytes?, timeoutMilliseconds: Int
    ) throws(ConnectFailure) -> RedisConnection {
        try connector.connect(
            moreScripts: scripts.loaded, session: session,
            timeoutMilliseconds: timeoutMilliseconds
        ) { [weak self] in self?.someDeadlineHasPassed ?? true }
    }

    /// Whether somebody's deadline has passed, which is when the connection is given up: replies come in
    /// order, so a caller cannot leave alone.
    private var someDeadlineHasPassed: Bool {
        state.withLock { state in
            state.isClosed || state.exchanges.contains { $0.deadline.hasPassed }
        }
    }

    // MARK: Using it

    private func carryOut(
        _ exchange: Exchange, _ connection: RedisConnection, _ ticket: Int,
        _ first: PipelineState.Action, _ firstWrites: [Exchange]
    ) throws(LaneFailure) {
        var action = first
        var writes = firstWrites
        while true {
            switch action {
            case .write: (action, writes) = write(writes, connection, own: ticket)
            case .read: action = read(connection, own: ticket)
            case .done: return
            case .wait:
                switch exchange.awaitSignal(limitMilliseconds: Self.patienceMilliseconds) {
                case .answered: return
                case .read: action = .read
                case .failed(let sent, let failure): throw .lost(sent: sent, failure)
                case .some(.none): preconditionFailure("woken without a signal")
                case nil:
                    // Whoever reads then gives the connection up, and everybody's exchange comes back.
                    if Interruption.isRequested { connection.socket.shutdown() }
                }
            }
        }
    }

    private func write(
        _ exchanges: [Exchange], _ connection: RedisConnection, own: Int
    ) -> (PipelineState.Action, [Exchange]) {
        do throws(LinkFailure) {
            try send(exchanges, connection)
        } catch {
            return (leave(connection, .writer, error, own: own), [])
        }
        let next = state.withLock { state -> (PipelineState.Action, [Exchange], Exchange?)? in
            if state.pipeline.isBroken { return nil }
            let step = state.pipeline.didWrite(own: own)
            return (
                step.action, writes(step.action, state), step.nextReader.map { state.exchange($0) }
            )
        }
        guard let (action, writes, nextReader) = next else {
            return (leave(connection, .writer, .closedByServer, own: own), [])
        }
        nextReader?.wake(.read)
        return (action, writes)
    }

    private func send(
        _ exchanges: [Exchange], _ connection: RedisConnection
    ) throws(LinkFailure) {
        var pieces: [iovec] = []
        var bytes = 0
        var commands = 0
        for exchange in exchanges {
            exchange.commands.appendPieces(to: &pieces)
            bytes += exchange.commands.totalBytes
            commands += exchange.commands.commandCount
        }
        metrics.add(.storeSentBytes, UInt64(bytes))
        metrics.add(.storeCommands, UInt64(commands))
        try connection.socket.send(&pieces)
    }

    private func read(_ connection: RedisConnection, own: Int) -> PipelineState.Action {
        while true {
            let front = state.withLock { $0.exchange($0.pipeline.answered) }
            let before = connection.reader.receivedBytes
            do throws(LinkFailure) {
                try front.readReplies(from: connection.reader)
            } catch {
                return leave(connection, .reader, error, own: own)
            }
            metrics.add(.storeReceivedBytes, connection.reader.receivedBytes &- before)
            let hasBytes = connection.reader.hasBytes
            let (answered, next, isAbandoned) = state.withLock { state in
                let answered = state.pipeline.didAnswer(own: own, hasBytes: hasBytes)
                state.exchanges.removeFirst()
                return (
                    answered, answered.nextReader.map { state.exchange($0) },
                    state.pipeline.isAbandoned
                )
            }
            if answered.wake != nil { front.wake(.answered) }
            next?.wake(.read)
            if isAbandoned { return leave(connection, nil, .closedByServer, own: own) }
            if answered.action != .read { return answered.action }
        }
    }

    /// The link is broken. The last of reader and writer to leave fails everything that is left; nobody
    /// touches the memory of an exchange after that.
    private func leave(
        _ connection: RedisConnection, _ role: PipelineState.Role?, _ failure: LinkFailure, own: Int
    ) -> PipelineState.Action {
        connection.socket.shutdown()
        let (failed, isDone) = state.withLock { state -> ([(Exchange, Bool)]?, Bool) in
            if let role { state.pipeline.linkBroke(role) }
            // Whoever reads answers its own exchange itself; everybody else is sent a signal.
            let isDone = role != .writer && own < state.pipeline.answered
            state.link = .breaking
            guard state.pipeline.isAbandoned else { return (nil, isDone) }
            let (sent, _) = state.pipeline.failAll()
            defer { state.exchanges = [] }
            return (state.exchanges.enumerated().map { ($1, $0 < sent.count) }, isDone)
        }
        if let failed {
            bury(connection, failure)
            for (exchange, wasSent) in failed { exchange.wake(.failed(sent: wasSent, failure)) }
        }
        return isDone ? .done : .wait
    }

    /// Nobody uses the connection any more: lets callers connect anew.
    private func bury(_ connection: RedisConnection, _ failure: LinkFailure) {
        if let identity = connection.identity { zombies.add(identity) }
        let isClosed = state.change { state in
            if case .breaking = state.link {
                state.link = .down(.after(milliseconds: state.policy.pauseMilliseconds()))
                state.lastProblem = failure.text
            }
            return state.isClosed
        }
        guard !isClosed else { return }
        logger.warning(
            "lost a connection to the store",
            metadata: ["lane": "\(name)", "reason": "\(failure.text)"])
    }
}

extension ConnectFailure {
    var text: String {
        switch self {
        case .unreachable(let text), .notYet(let text): text
        case .rejected(let error): "\(error)"
        }
    }
}

extension CommandBuffer {
    /// What has to be sent, in order.
    func appendPieces(to pieces: inout [iovec]) {
        var start = 0
        for payload in payloads {
            append(start..<payload.position, to: &pieces)
            pieces.append(
                iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: payload.bytes.baseAddress),
                    iov_len: payload.bytes.count))
            start = payload.position
        }
        append(start..<count, to: &pieces)
    }

    private func append(_ range: Range<Int>, to pieces: inout [iovec]) {
        guard !range.isEmpty else { return }
        let part = UnsafeRawBufferPointer(rebasing: bytes[range])
        pieces.append(
            iovec(
                iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
    }
}
