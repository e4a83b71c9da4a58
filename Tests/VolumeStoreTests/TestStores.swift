import Foundation
import KeyValue
import Logging
import Primitives
import Redis
import Telemetry
import TestSupport

@testable import VolumeStore

/// Which store the volumes of a test are in. Every test runs over a store in memory; those that
/// `RedisVolumeTests` lists run over a redis-server of their own as well.
enum TestStores {
    enum Kind: Sendable {
        case memory
        case redis
    }

    /// `APUSFS_TEST_STORE=redis` runs all of them over Redis, by hand.
    @TaskLocal static var kind: Kind =
        ProcessInfo.processInfo.environment["APUSFS_TEST_STORE"] == "redis" ? .redis : .memory

    static func make() throws -> FaultyStore {
        switch kind {
        case .memory: return FaultyStore(MemoryStore())
        case .redis:
            let server = try RedisServer()
            let store = try RedisStore(
                endpoint: RedisEndpoint(.unix(path: server.path)),
                options: RedisOptions(ioTimeoutMilliseconds: 20_000), metrics: Metrics(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            return FaultyStore(store, server: server)
        }
    }
}

extension FaultyStore {
    /// Every key that the store holds.
    func allKeys() throws -> Set<String> {
        if let memory = base as? MemoryStore {
            return Set(memory.allKeys().map { String(decoding: $0, as: UTF8.self) })
        }
        guard let server else { return [] }
        return Set(try server.cli("--raw", "keys", "*").split(separator: "\n").map { String($0) })
    }
}
