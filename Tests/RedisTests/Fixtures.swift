import KeyValue
import Logging
import Primitives
import Redis
import Telemetry
import TestSupport
import Testing

func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

extension Pair {
    init(_ field: String, _ value: String) { self.init(bytes(field), bytes(value)) }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func connect(
    _ path: String, connections: Int = 2, ioTimeoutMilliseconds: Int = 20_000,
    connectTimeoutMilliseconds: Int = 5_000, metrics: Metrics = Metrics()
) throws -> RedisStore {
    try RedisStore(
        endpoint: RedisEndpoint(.unix(path: path)),
        options: RedisOptions(
            connections: connections, ioTimeoutMilliseconds: ioTimeoutMilliseconds,
            connectTimeoutMilliseconds: connectTimeoutMilliseconds, clientName: "a test"),
        metrics: metrics, logger: quiet)
}

let session = bytes("session")

/// A batch that adds 1 to the field n of the hash h.
func adding(slot: Int = 0, _ sequence: UInt64) -> Batch {
    Batch(
        id: BatchID(session: session, slot: slot, sequence: sequence),
        mutations: [.increment(key: bytes("h"), field: bytes("n"), by: 1)])
}

extension RedisStore {
    func beginSession() throws {
        _ = try commit(Batch(mutations: [.setFields(key: session, [Pair("host", "a")])]))
    }

    /// What `adding` has added up to.
    func total() throws -> String? {
        guard case .values(let values)? = try read([.fields(key: bytes("h"), [bytes("n")])]).first
        else { return nil }
        return values.first.flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
    }

    func storeBlock(_ key: String, _ payload: Bytes, then batch: Batch? = nil) throws
        -> StoreOutcome
    {
        try payload.withUnsafeBytes { payload in
            try store(
                [
                    BlockWrite(
                        key: bytes(key), kind: .replace(header: .init(low: 1, high: 2)),
                        payload: payload)
                ], then: batch)
        }
    }

    func loadBlock(_ key: String, room: Int = 2 << 20) throws -> Bytes? {
        var memory = Bytes(repeating: 0, count: room)
        let answer = try memory.withUnsafeMutableBytes { buffer in
            try load([BlockLoad(key: bytes(key), destination: buffer)]).first
        }
        guard case .loaded(_, let count)? = answer else { return nil }
        return Bytes(memory[..<count])
    }
}

/// Waits for a condition that another process or thread brings about.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline.after(milliseconds: 20_000)
    while try !condition() {
        if deadline.hasPassed { return false }
    }
    return true
}

func isUnavailable(_ error: any Error) -> Bool {
    if case StoreError.unavailable? = error as? StoreError { return true }
    return false
}
