import KeyValue
import Logging
import Redis
import Telemetry
import TestSupport
import Testing

/// The stores that keep the contract.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
    case memory
    /// Every batch by the interpreter.
    case redis
    /// Every batch by the script of its shape.
    case compiled
    /// By TLS.
    case encrypted

    var testDescription: String { rawValue }

    func make() throws -> StoreUnderTest { try StoreUnderTest(self) }
}

/// A store of a test's own, empty; with the server that it is on, if any.
final class StoreUnderTest {
    /// More than an empty server takes.
    static let limitBytes = 3 << 20

    let store: any KeyValueStore
    private let server: RedisServer?
    private var authority: TLSAuthority?
    private let limit: Int

    /// `limit`: bytes that it may take from `beginLimit` on; one in memory from the beginning. 0: no limit.
    init(_ kind: StoreKind, limit: Int = 0) throws {
        self.limit = limit
        switch kind {
        case .memory:
            server = nil
            store = MemoryStore(limitBytes: UInt64(limit))
        case .redis, .compiled, .encrypted:
            var options = RedisOptions(ioTimeoutMilliseconds: 20_000)
            options.usesBeforeCompiling = kind == .compiled ? 1 : .max
            let server: RedisServer
            var endpoint: RedisEndpoint
            if kind == .encrypted {
                let port: Int
                let authority = try TLSAuthority()
                (server, port) = try RedisServer.byTLS(authority)
                endpoint = RedisEndpoint(.tcp(host: "localhost", port: port))
                var tls = TLSOptions()
                tls.authorityFile = authority.file
                endpoint.tls = tls
                self.authority = authority
            } else {
                server = try RedisServer()
                endpoint = RedisEndpoint(.unix(path: server.path))
            }
            self.server = server
            store = try RedisStore(
                endpoint: endpoint,
                options: options, metrics: Metrics(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
    }

    deinit { store.close() }

    /// All fields of a hash, whatever their order.
    func hash(_ key: Bytes) throws -> [Bytes: Bytes] {
        guard case .pairs(let pairs)? = try store.read([.allFields(key: key)]).first else {
            return [:]
        }
        return Dictionary(uniqueKeysWithValues: pairs.map { ($0.field, $0.value) })
    }

    func value(_ key: Bytes) throws -> Bytes? {
        guard case .value(let value)? = try store.read([.value(key: key)]).first else { return nil }
        return value
    }

    /// From now on a limited store that is on a server refuses growth beyond the limit.
    func beginLimit() throws {
        try server?.cli("CONFIG", "SET", "maxmemory", "\(limit)")
    }

    /// How many keys the server holds.
    func keyCount() throws -> Int? { try server.flatMap { Int(try $0.cli("DBSIZE")) } }

    func exists(_ key: Bytes) throws -> Bool {
        try store.read([.existence(keys: [key])]) == [.existing([true])]
    }

    @discardableResult
    func commit(_ conditions: [Condition] = [], _ mutations: Mutation...) throws -> CommitOutcome {
        try store.commit(Batch(conditions: conditions, mutations: mutations))
    }
}

func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

extension Pair {
    init(_ field: String, _ value: String) { self.init(bytes(field), bytes(value)) }
}

/// Every byte, many times over, for values that a text protocol could spoil.
func everyByte(count: Int) -> Bytes {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
}

func expectThrows<Result>(
    _ expected: StoreError, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Result
) {
    #expect(throws: expected, sourceLocation: sourceLocation) { _ = try body() }
}
