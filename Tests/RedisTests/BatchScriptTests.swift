import KeyValue
import Telemetry
import TestSupport
import Testing

@testable import Redis

@Suite struct BatchScriptTests {
    private func shape(_ batch: Batch) throws -> BatchForm.Shape {
        try #require(BatchForm(batch, try BatchChecks(batch).checks, patched: [])).shape
    }

    @Test func `batches that differ in names and numbers only share a shape`() throws {
        func creating(_ number: Int64, _ name: String, directory: String = "d1") -> Batch {
            Batch(
                id: BatchID(session: session, slot: 1, sequence: UInt64(number)),
                conditions: [.fieldAbsent(key: bytes(directory), field: bytes(name))],
                mutations: [
                    .setFields(key: bytes("i\(number)"), [Pair("m", "\(number)")]),
                    .raise(key: bytes("i1"), field: bytes("t"), to: number),
                    .publish(
                        channel: bytes("c"), key: bytes("v"), field: bytes("v"),
                        message: bytes(name)),
                ])
        }
        #expect(try shape(creating(7, "a")) == shape(creating(8, "bc")))
        // The name's directory is the inode whose time is raised: another pattern of keys.
        #expect(try shape(creating(7, "a")) != shape(creating(7, "a", directory: "i1")))
        var unnamed = creating(7, "a")
        unnamed.id = nil
        #expect(try shape(creating(7, "a")) != shape(unnamed))
    }

    @Test func `a batch of very many words is left to the interpreter`() throws {
        func setting(_ count: Int) -> Batch {
            Batch(mutations: [
                .setFields(key: bytes("h"), (0..<count).map { Pair("\($0)", "") })
            ])
        }
        #expect(BatchForm(setting(50), [], patched: []) != nil)
        #expect(BatchForm(setting(51), [], patched: []) == nil)
    }

    @Test func `numbers of a hash are read by one command and written by one`() throws {
        let batch = Batch(mutations: [
            .raise(key: bytes("i1"), field: bytes("t"), to: 5),
            .raise(key: bytes("i1"), field: bytes("c"), to: 5),
            .increment(key: bytes("i1"), field: bytes("n"), by: 1),
        ])
        let text = String(
            decoding: BatchCompiler.script(for: try shape(batch)).text, as: UTF8.self)
        #expect(text.calls(of: "HMGET") == 1)
        #expect(text.calls(of: "HSET") == 1)
        #expect(text.calls(of: "HINCRBY") == 0)
    }

    @Test func `a shape gets its script at the third use, and keeps it over a restart`() throws {
        let server = try RedisServer(arguments: ["--appendonly", "yes", "--appendfsync", "always"])
        let store = try connect(server.path)
        defer { store.close() }
        try store.beginSession()
        let script = BatchCompiler.script(for: try shape(adding(1)))
        func serverHasScript() throws -> Bool {
            let digest = String(decoding: script.digest, as: UTF8.self)
            return try server.cli("SCRIPT", "EXISTS", digest) == "1"
        }
        for sequence in 1...2 as ClosedRange<UInt64> { _ = try store.commit(adding(sequence)) }
        #expect(try !serverHasScript())
        _ = try store.commit(adding(3))
        #expect(try serverHasScript())
        server.kill()
        try server.start()
        #expect(try store.commit(adding(4)) == .committed(sums: [4]))
        #expect(try serverHasScript())
        // Somebody empties the server's memory of scripts.
        try server.cli("SCRIPT", "FLUSH")
        #expect(try store.commit(adding(5)) == .committed(sums: [5]))
        #expect(try serverHasScript())
    }
}

extension String {
    fileprivate func calls(of command: String) -> Int {
        split(separator: "call('\(command)'", omittingEmptySubsequences: false).count - 1
    }
}
