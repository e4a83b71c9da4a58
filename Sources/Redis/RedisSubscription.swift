import Glibc
public import KeyValue
import Logging
import Primitives

extension RedisStore {
    public func subscribe(
        to channel: Bytes, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        try subscribe(to: .channel(channel), handler: handler)
    }

    func subscribe(
        to topic: SubscriptionTopic, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription {
        if isClosed { throw .closed }
        let subscription = RedisSubscription(
            topic: topic, connector: connector, logger: logger, handler
        ) { [weak self] ended in
            self?.subscriptions.withLock { $0.removeAll { $0 === ended } }
        }
        subscriptions.withLock { $0.append(subscription) }
        try subscription.start(until: deadline())
        return subscription
    }
}

/// A subscription with a connection and a thread of its own. A connection that is lost is made again,
/// with the pauses of `ReconnectPolicy`, for as long as it takes.
final class RedisSubscription: Subscription, @unchecked Sendable {
    private struct State {
        var connection: RedisConnection?
        var firstResult: Result<Void, StoreError>?
        var isCancelled = false
        var isFinished = false
        var thread: pthread_t?
        var silentSince = Deadline.now
        var hasAsked = false
        var patience: (@Sendable () -> Int)?
    }

    /// After this long without a message the server is asked whether it is there.
    private static let silenceMilliseconds = 5_000

    private let topic: SubscriptionTopic
    private let connector: RedisConnector
    private let logger: Logger
    private let handler: @Sendable (SubscriptionEvent) -> Void
    private let onEnd: @Sendable (RedisSubscription) -> Void
    private let state = Monitor(State())
    private let worker = Locked<WorkerThread?>(nil)

    init(
        topic: SubscriptionTopic, connector: RedisConnector, logger: Logger,
        _ handler: @escaping @Sendable (SubscriptionEvent) -> Void,
        onEnd: @escaping @Sendable (RedisSubscription) -> Void
    ) {
        self.topic = topic
        self.connector = connector
        self.logger = logger
        self.handler = handler
        self.onEnd = onEnd
    }

    /// Returns once the server has confirmed the subscription.
    func start(until deadline: Deadline) throws(StoreError) {
        let thread = WorkerThread(name: "subscription") { [self] in run() }
        worker.withLock { $0 = thread }
        switch state.wait(until: deadline, for: { $0.firstResult }) {
        case .success: return
        case .failure(let error):
            cancel()
            throw error
        case nil:
            cancel()
            throw .unavailable("\(connector.endpoint): the server does not confirm a subscription")
        }
    }

    func cancel() {
        let (connection, isOwnThread) = state.change { state in
            state.isCancelled = true
            let isOwn = state.thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false
            return (state.connection, isOwn)
        }
        connection?.socket.shutdown()
        onEnd(self)
        if isOwnThread { return }
        let _: Void? = state.wait { $0.isFinished ? () : nil }
        worker.withLock { $0 }?.join()
    }

    func setPatience(_ patience: @escaping @Sendable () -> Int) {
        state.withLock { $0.patience = patience }
    }

    /// Listens to the server at `address` from now on.
    func leave(unless address: RedisEndpoint.Address) {
        let connection = state.withLock { $0.connection }
        if let connection, connection.address != address { connection.socket.shutdown() }
    }

    // MARK: The thread

    private var isCancelled: Bool { state.withLock { $0.isCancelled } }

    private func run() {
        state.withLock { $0.thread = pthread_self() }
        defer { state.change { $0.isFinished = true } }
        var policy = ReconnectPolicy()
        while !isCancelled {
            do throws(ConnectFailure) {
                let connection = try connector.connect(
                    timeoutMilliseconds: connector.options.connectTimeoutMilliseconds
                ) { [weak self] in self?.isSilentTooLong ?? true }
                let wasEstablished = listen(connection)
                if wasEstablished, !isCancelled {
                    policy.didConnect()
                    logger.warning("lost the subscription to the store")
                    handler(.interrupted)
                }
            } catch {
                // Only the first attempt has somebody who waits for its result.
                let reason: StoreError =
                    if case .rejected(let refusal) = error { refusal } else {
                        .unavailable("\(connector.endpoint): \(error.text)")
                    }
                state.change { state in
                    if state.firstResult == nil { state.firstResult = .failure(reason) }
                }
            }
            let limit = Deadline.after(milliseconds: policy.pauseMilliseconds())
            let _: Void? = state.wait(until: limit) { $0.isCancelled ? () : nil }
        }
    }

    /// Delivers messages until the connection is lost; says whether the subscription was confirmed.
    private func listen(_ connection: RedisConnection) -> Bool {
        let mayGoOn = state.change { state in
            state.connection = connection
            state.silentSince = .now
            state.hasAsked = false
            return !state.isCancelled
        }
        defer { state.withLock { $0.connection = nil } }
        guard mayGoOn else { return false }
        connection.socket.expectMessages()
        var isEstablished = false
        do throws(LinkFailure) {
            try send(connection) { commands in
                for command in topic.commands(clientID: connection.greeting.clientID) {
                    commands.add(command)
                }
            }
            while true {
                let reply = try connection.reader.readReply()
                state.withLock { state in
                    state.silentSince = .now
                    state.hasAsked = false
                }
                if isCancelled { break }
                // Behind the confirmation a refusal can only be of `PING` (a full disk: MISCONF), and is as
                // good a sign of life as any.
                if isEstablished, case .error = reply { continue }
                isEstablished = try deliver(reply) || isEstablished
                if !connection.reader.hasBytes { rest() }
            }
        } catch {
            state.change { state in
                guard state.firstResult == nil else { return }
                state.firstResult = .failure(.unavailable("\(connector.endpoint): \(error.text)"))
            }
        }
        connection.socket.shutdown()
        return isEstablished
    }

    /// Lets more messages come before this thread wakes up for them.
    private func rest() {
        let patience = state.withLock { $0.patience }
        guard let milliseconds = patience?(), milliseconds > 0 else { return }
        let _: Void? = state.wait(until: .after(milliseconds: milliseconds)) {
            $0.isCancelled ? () : nil
        }
    }

    /// Whether the reply confirms the subscription.
    private func deliver(_ reply: Reply) throws(LinkFailure) -> Bool {
        switch reply {
        case .array(let parts):
            switch topic.meaning(of: parts) {
            case .confirmation:
                handler(.established)
                state.change { state in
                    if state.firstResult == nil { state.firstResult = .success(()) }
                }
                return true
            case .messages(let messages): for message in messages { handler(.message(message)) }
            case .everything:
                handler(.interrupted)
                handler(.established)
            case .malformed: throw .malformedReply("a message that is no string")
            case .other: break
            }
            return false
        case .error(let text):
            state.change { state in
                guard state.firstResult == nil, case .refused(let error) = ErrorKind(text) else {
                    return
                }
                state.firstResult = .failure(error)
            }
            throw .malformedReply(String(decoding: text, as: UTF8.self))
        case .simple, .integer, .bulk, .null: return false
        }
    }

    /// Asks the server for a sign of life after a silence, and gives up when none comes.
    private var isSilentTooLong: Bool {
        let (asking, givesUp) = state.withLock { state -> (RedisConnection?, Bool) in
            if state.isCancelled { return (nil, true) }
            let askAt = state.silentSince.advanced(byMilliseconds: Self.silenceMilliseconds)
            let endAt = askAt.advanced(byMilliseconds: connector.options.ioTimeoutMilliseconds)
            if state.hasAsked { return (nil, endAt.hasPassed) }
            state.hasAsked = askAt.hasPassed
            return (state.hasAsked ? state.connection : nil, false)
        }
        guard let asking else { return givesUp }
        do throws(LinkFailure) {
            try send(asking) { $0.begin("PING", arguments: 1) }
            return false
        } catch {
            return true
        }
    }

    private func send(
        _ connection: RedisConnection, _ encode: (CommandBuffer) -> Void
    ) throws(LinkFailure) {
        let commands = CommandBuffer()
        encode(commands)
        var pieces: [iovec] = []
        commands.appendPieces(to: &pieces)
        try connection.socket.send(&pieces)
        withExtendedLifetime(commands) {}
    }
}
