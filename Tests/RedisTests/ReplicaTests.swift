import KeyValue
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

/// What waits for replicas.
@Suite struct ReplicaTests {
    private func open(_ server: RedisServer, timeout: Int) throws -> RedisStore {
        var options = RedisOptions(ioTimeoutMilliseconds: timeout)
        options.replicas = 1
        return try RedisStore(
            endpoint: RedisEndpoint(.unix(path: server.path)), options: options,
            metrics: Metrics(), logger: quiet)
    }

    private func store(_ value: UInt8, in store: RedisStore) throws -> StoreOutcome {
        let payload: [UInt8] = [value]
        return try payload.withUnsafeBytes { bytes in
            try store.store(
                [
                    BlockWrite(
                        key: [1], kind: .replace(header: InlineBlockHeader(low: 0, high: 0)),
                        payload: bytes)
                ], then: Batch(mutations: [.set(key: [2], value: [value])]))
        }
    }

    @Test func `fsync waits for replicas, and is EIO without them`() throws {
        let primary = try RedisServer(
            arguments: ["--repl-diskless-sync-delay", "0"], tcp: true)
        let alone = try open(primary, timeout: 200)
        defer { alone.close() }
        var failure: StoreError?
        do { _ = try store(1, in: alone) } catch { failure = error as? StoreError }
        guard case .unavailable = failure else {
            Issue.record("no replica, and no failure: \(String(describing: failure))")
            return
        }

        let port = try #require(primary.port)
        let replica = try RedisServer(arguments: ["--replicaof", "127.0.0.1", "\(port)"])
        let patient = try open(primary, timeout: 60_000)
        defer { patient.close() }
        let outcome = try store(7, in: patient)
        #expect(outcome.batch == .committed(sums: []))
        #expect(try replica.cli("GET", "\u{2}") == "\u{7}")
        // Without blocks, and after a look at them.
        #expect(
            try patient.store([], then: Batch(mutations: [.set(key: [3], value: [9])])).batch
                == .committed(sums: []))
        #expect(try replica.cli("GET", "\u{3}") == "\t")
        replica.kill()
        #expect(throws: StoreError.self) { try store(8, in: alone) }
    }
}
