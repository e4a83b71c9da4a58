public import KeyValue
public import Logging
import Primitives
import Synchronization
public import Telemetry

/// The store on a Redis server, 7.0 or newer.
///
/// Metadata and blocks have connections of their own, so that a bulk transfer delays no lookup. A call
/// that meets a lost connection waits for the next one and is sent again, if that is safe, until
/// `RedisOptions.ioTimeoutMilliseconds` are over.
public final class RedisStore: KeyValueStore {
    let endpoint: RedisEndpoint
    let options: RedisOptions
    let metrics: Metrics
    let logger: Logger
    let connector: RedisConnector
    let greeting: RedisGreeting
    let exchanges = ExchangePool()
    let batchScripts: BatchScripts
    private let metadata: Lane
    private let data: [Lane]
    private let zombies = Zombies()
    let reserve = Locked(MemoryReserve())
    private let trips = Atomic<UInt64>(0)
    private let closed = Monitor(false)
    let subscriptions = Locked<[RedisSubscription]>([])

    /// How often the scripts are loaded again for one call: somebody would have to empty the cache
    /// between loading and calling, each time.
    private static let maximumScriptLoads = 3

    /// Connects and verifies. The error says what is wrong: nobody listens, wrong password, too old.
    public init(
        endpoint: RedisEndpoint, options: RedisOptions, metrics: Metrics, logger: Logger
    ) throws(StoreError) {
        let zombies = zombies
        let connector = RedisConnector(endpoint, options)
        let scripts = BatchScripts(uses: options.usesBeforeCompiling)
        batchScripts = scripts
        func lane(_ name: String) -> Lane {
            Lane(
                name: name, connector: connector, zombies: zombies, scripts: scripts,
                metrics: metrics, logger: logger)
        }
        self.connector = connector
        self.endpoint = endpoint
        self.options = options
        self.metrics = metrics
        self.logger = logger
        let allowed = RedisOptions.allowedConnections
        let count = min(max(options.connections, allowed.lowerBound), allowed.upperBound)
        metadata = lane("metadata")
        data = (0..<count).map { lane("data \($0)") }
        greeting = try Self.firstConnection(metadata, endpoint, options)
        connector.onMove { [weak self] in self?.leaveServers(otherThan: $0) }
    }

    /// All connections lead to the same server: one that was the primary may still answer, with what it
    /// knew then.
    private func leaveServers(otherThan address: RedisEndpoint.Address) {
        logger.notice("the primary is another server now", metadata: ["address": "\(address)"])
        for lane in [metadata] + data { lane.leave(unless: address) }
        for subscription in subscriptions.withLock({ $0 }) { subscription.leave(unless: address) }
    }

    deinit { close() }

    public var roundTrips: UInt64 { trips.load(ordering: .relaxed) }

    public func close() {
        closed.change { $0 = true }
        metadata.close()
        for lane in data { lane.close() }
        for subscription in subscriptions.withLock({ $0 }) { subscription.cancel() }
    }

    var isClosed: Bool { closed.withLock { $0 } }

    func deadline() -> Deadline { .after(milliseconds: options.ioTimeoutMilliseconds) }

    var metadataLane: Lane { metadata }

    /// The first data connection that nobody uses, else the one with the fewest users: connections that
    /// are not needed are not even made.
    func dataLane() -> Lane {
        var best = data[0]
        var lowest = Int.max
        for lane in data {
            let load = lane.load
            if load == 0 { return lane }
            if load < lowest { (best, lowest) = (lane, load) }
        }
        return best
    }

    /// A server that is still loading its data is waited for; one that is not there is an error at once.
    private static func firstConnection(
        _ lane: Lane, _ endpoint: RedisEndpoint, _ options: RedisOptions
    ) throws(StoreError) -> RedisGreeting {
        let deadline = Deadline.after(milliseconds: options.connectTimeoutMilliseconds)
        var policy = ReconnectPolicy()
        let pause = Monitor(())
        while true {
            do throws(ConnectFailure) {
                return try lane.connectOnce()
            } catch {
                switch error {
                case .rejected(let reason): throw reason
                case .unreachable(let text): throw .unavailable("\(endpoint): \(text)")
                case .notYet(let text):
                    if deadline.hasPassed { throw .unavailable("\(endpoint): \(text)") }
                    let limit = Deadline.after(milliseconds: policy.pauseMilliseconds())
                    let _: Void? = pause.wait(until: min(limit, deadline)) { _ in nil }
                }
            }
        }
    }

    // MARK: One call

    /// Has the server carry out the commands of `exchange` and returns when all of them are answered
    /// with something else than "not now".
    func call(_ exchange: Exchange, on lane: Lane) throws(StoreError) {
        countTrip()
        var pauses = ReconnectPolicy()
        var scriptLoads = 0
        while true {
            if exchange.mutates, zombies.areSome { try buryZombies(lane, exchange.deadline) }
            guard try attempt(exchange, lane) else { continue }
            let errors = exchange.errors
            switch errors.first(where: \.isTemporary) {
            case nil where connector.leavesReplicas && errors.contains(.refused(.readOnly)):
                try leaveReplica(exchange, lane)
                pause(milliseconds: pauses.pauseMilliseconds(), exchange.deadline)
            case nil: return
            case .unknownScript where scriptLoads < Self.maximumScriptLoads:
                scriptLoads += 1
                try loadScripts(
                    Script.all + batchScripts.loaded, lane, exchange.deadline)
            case .some:
                guard !exchange.deadline.hasPassed, !Interruption.isRequested else {
                    throw .unavailable("the server says that it is busy")
                }
                pause(milliseconds: pauses.pauseMilliseconds(), exchange.deadline)
            }
            exchange.rewind()
        }
    }

    /// The server that answered was demoted: the next attempt asks the sentinels again.
    private func leaveReplica(_ exchange: Exchange, _ lane: Lane) throws(StoreError) {
        lane.leave(unless: nil)
        // A part that was carried out before the server was demoted must not happen twice.
        guard exchange.mayResend || exchange.hasOnlyErrors, !exchange.deadline.hasPassed,
            !Interruption.isRequested
        else { throw .unavailable("\(endpoint): \(LinkFailure.demoted.text)") }
    }

    func countTrip() {
        trips.wrappingAdd(1, ordering: .relaxed)
        metrics.add(.storeRoundTrips)
    }

    /// A connection that was lost on this side: the server is told to end it before anything is changed.
    func bury(_ connection: RedisConnection) {
        if let identity = connection.identity { zombies.add(identity) }
    }

    /// One attempt; `false` when the connection was lost and the commands may be sent again.
    private func attempt(
        _ exchange: Exchange, _ lane: Lane
    ) throws(StoreError) -> Bool {
        do throws(LaneFailure) {
            try lane.perform(exchange)
            return true
        } catch {
            switch error {
            case .closed: throw .closed
            case .rejected(let reason): throw reason
            case .unreachable(let text): throw .unavailable("\(endpoint): \(text)")
            case .lost(let sent, let failure):
                if isClosed { throw .closed }
                if sent, !exchange.mayResend {
                    throw .unavailable("connection lost before the answer came: \(failure.text)")
                }
                if exchange.deadline.hasPassed || Interruption.isRequested {
                    throw .unavailable("\(endpoint): \(failure.text)")
                }
                exchange.rewind()
                return false
            }
        }
    }

    /// Ends early when the store is closed.
    func pause(milliseconds: Int, _ deadline: Deadline) {
        let limit = min(.after(milliseconds: milliseconds), deadline)
        let _: Void? = closed.wait(until: limit) { $0 ? () : nil }
    }

    /// Has the server keep one more script.
    func load(_ script: Script, on lane: Lane) throws(StoreError) {
        try loadScripts([script], lane, deadline())
    }

    private func loadScripts(
        _ scripts: [Script], _ lane: Lane, _ deadline: Deadline
    ) throws(StoreError) {
        try exchanges.withExchange(deadline: deadline) { exchange throws(StoreError) in
            for script in scripts {
                exchange.commands.begin("SCRIPT", arguments: 3)
                exchange.commands.add("LOAD")
                exchange.commands.add(script.text)
            }
            while try !attempt(exchange, lane) {}
            for case .refused(let error) in exchange.errors { throw error }
        }
    }

    /// Has the server end connections that were lost on this side.
    private func buryZombies(_ lane: Lane, _ deadline: Deadline) throws(StoreError) {
        try exchanges.withExchange(deadline: deadline) { exchange throws(StoreError) in
            exchange.commands.begin("INFO", arguments: 2)
            exchange.commands.add("server")
            while try !attempt(exchange, lane) {}
            var run = Bytes()
            if case .bulk(let text)? = exchange.replies.first {
                run = Bytes((RedisInformation(text)["run_id"] ?? "").utf8)
            }
            let (living, gone) = zombies.identities(of: run)
            exchange.clear()
            for zombie in living {
                exchange.commands.begin("CLIENT", arguments: 4)
                exchange.commands.add("KILL")
                exchange.commands.add("ID")
                exchange.commands.add(zombie.client)
            }
            if !living.isEmpty { while try !attempt(exchange, lane) {} }
            for case .refused(let error) in exchange.errors {
                logger.warning(
                    "cannot end a lost connection at the server",
                    metadata: ["reason": "\(error)"])
            }
            zombies.remove(living + gone)
        }
    }
}

extension ErrorKind {
    /// Whether the same command may succeed a little later.
    var isTemporary: Bool {
        switch self {
        case .unknownScript, .tryLater: true
        case .refused: false
        }
    }
}

extension Exchange {
    /// Throws the first error among the replies.
    func checkForErrors() throws(StoreError) {
        for error in errors {
            switch error {
            case .refused(let reason): throw reason
            case .unknownScript, .tryLater: preconditionFailure("RedisStore.call repeats these")
            }
        }
    }
}
