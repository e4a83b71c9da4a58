/// How a `RedisStore` uses its server.
public struct RedisOptions: Hashable, Sendable {
    /// Connections of the data lane; metadata has one of its own beside them.
    public var connections: Int
    /// How long a call may take, reconnecting included.
    public var ioTimeoutMilliseconds: Int
    /// How long one attempt to connect may take.
    public var connectTimeoutMilliseconds: Int
    /// Shown by `CLIENT LIST`: printable ASCII without spaces; other bytes become `-`.
    public var clientName: String

    /// Whether each connection loads the scripts that `KeyValueStore` needs. Without them only
    /// `perform`, `makeSession` and `watchKeys` work.
    public var loadsScripts = true
    /// Whether what is asked counts as a use of the key (OBJECT IDLETIME). Servers older than 7.2 know no
    /// other way.
    public var touchesKeys = true

    /// Replicas that have to have what `store(_:then:)` stored before it returns (WAIT); what they do not
    /// have in time is `StoreError.unavailable`.
    public var replicas = 0

    /// By Sentinel: whether what is named as the primary may be a replica. Only for those who change nothing.
    public var acceptsReplica = false

    /// A shape of batch that comes this often gets a Lua script of its own; before, and when there are too
    /// many shapes, batches are interpreted by one script for all. `Int.max`: never.
    public var usesBeforeCompiling = 3

    public static let allowedReplicas = 0...64
    public static let allowedConnections = 1...64

    public init(
        connections: Int = 4, ioTimeoutMilliseconds: Int = 30_000,
        connectTimeoutMilliseconds: Int = 5_000, clientName: String = "apusfs"
    ) {
        self.connections = connections
        self.ioTimeoutMilliseconds = ioTimeoutMilliseconds
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.clientName = clientName
    }

    /// The client name as CLIENT SETNAME takes it.
    var safeClientName: String {
        String(
            decoding: clientName.utf8.map { (33...126).contains($0) ? $0 : UInt8(ascii: "-") },
            as: UTF8.self)
    }
}
