import KeyValue
import Logging
import Redis
import Telemetry

/// A store that is open, with the embedded server behind it if it has one.
final class StoreAccess: Sendable {
    let source: Source
    let store: any KeyValueStore
    private let server: EmbeddedServer?

    private init(source: Source, store: any KeyValueStore, server: EmbeddedServer?) {
        self.source = source
        self.store = store
        self.server = server
    }

    /// How the server is used.
    struct Options: Sendable {
        var connections = 1
        var ioTimeout = TimeSpan(milliseconds: 30_000)
        /// Whether an embedded store is made if it is not there.
        var mayCreate = false
        /// Whether an embedded server is started again when it dies.
        var isSupervised = false
        /// For the keys of others: nothing is loaded into the server, and looking is no use of a key.
        var isGuest = false
        /// Nothing is going to be changed, so that a replica serves as well as its primary.
        var isReadOnly = false
        /// Replicas that must have what was stored.
        var replicas = 0
    }

    /// Connects and gets a first answer. When this throws, nothing is left running.
    static func open(
        _ source: Source, _ options: Options, metrics: Metrics, logger: Logger,
        progress: (String) throws(CommandFailure) -> Void = { _ in }
    ) throws(CommandFailure) -> StoreAccess {
        let place: RedisEndpoint.Place
        var server: EmbeddedServer?
        switch source.place {
        case .memory:
            return StoreAccess(source: source, store: MemoryStore(metrics: metrics), server: nil)
        case .tcp(let host, let port): place = .server(.tcp(host: host, port: Int(port)))
        case .sentinels(let hosts, let primary):
            let sentinels = hosts.map {
                RedisEndpoint.Address.tcp(host: $0.name, port: Int($0.port))
            }
            guard let group = SentinelGroup(sentinels, primary: primary) else {
                throw CommandFailure("\(source): names too many sentinels", status: .usage)
            }
            place = .sentinels(group)
        case .unixSocket(let path): place = .server(.unix(path: path))
        case .embedded(let directory):
            let acquired = try EmbeddedServer.acquire(
                directory: directory, mayCreate: options.mayCreate, logger: logger,
                progress: progress)
            place = .server(.unix(path: acquired.socketPath))
            server = acquired
        }
        var endpoint = RedisEndpoint(
            place, user: source.user, password: source.password?.reveal(),
            database: source.database)
        endpoint.sentinelPassword = source.sentinelPassword?.reveal()
        endpoint.tls = source.tls?.options
        var redisOptions = RedisOptions(
            connections: options.connections,
            ioTimeoutMilliseconds: options.ioTimeout.milliseconds)
        redisOptions.loadsScripts = !options.isGuest
        redisOptions.replicas = options.replicas
        redisOptions.acceptsReplica = options.isReadOnly
        redisOptions.touchesKeys = !options.isGuest
        do throws(StoreError) {
            let store = try RedisStore(
                endpoint: endpoint, options: redisOptions, metrics: metrics, logger: logger)
            if options.isSupervised { superviseIfEmbedded(server, logger: logger) }
            return StoreAccess(source: source, store: store, server: server)
        } catch {
            let failure = StoreFailure.describe(error, source)
            try server?.release()
            throw failure
        }
    }

    /// A mount works without being watched over; it is only less robust.
    private static func superviseIfEmbedded(_ server: EmbeddedServer?, logger: Logger) {
        do throws(CommandFailure) {
            try server?.supervise()
        } catch {
            logger.warning("\(error)")
        }
    }

    /// Ends the use of the store; the last user of an embedded server stops it.
    func close() throws(CommandFailure) {
        store.close()
        try server?.release()
    }

    /// Runs `body` with the store open and closes it afterwards, also when `body` fails.
    static func with<Result>(
        _ source: Source, _ options: Options, logger: Logger,
        _ body: (StoreAccess) throws(CommandFailure) -> Result
    ) throws(CommandFailure) -> Result {
        let access = try open(source, options, metrics: Metrics(), logger: logger) {
            Console.error($0)
        }
        let result: Result
        do throws(CommandFailure) {
            result = try body(access)
        } catch {
            try access.close()
            throw error
        }
        try access.close()
        return result
    }
}
