import KeyValue
import Primitives
import TestSupport
import Testing

@testable import Redis

/// What a session has sent, and what is still sent for it, when it has been ended.
@Suite struct SessionEndTests {
    private func store(
        _ store: RedisStore, _ payload: Bytes, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
        memory.copyBytes(from: payload)
        defer { memory.deallocate() }
        return try store.store(
            [
                BlockWrite(
                    key: bytes("b"), kind: .replace(header: .init(low: 1, high: 2)),
                    payload: UnsafeRawBufferPointer(memory))
            ], then: nil, by: session)
    }

    @Test func `blocks that are on their way when a session is ended do not arrive`() throws {
        let server = try RedisServer()
        let proxy = try CuttingProxy(to: server.path)
        let late = try connect(proxy.path)
        defer { late.close() }
        let other = try connect(server.path)
        defer { other.close() }
        try other.beginSession()
        // Connections that only read belong to nobody yet.
        #expect(try late.loadBlock("b") == nil)
        _ = try store(late, [1], by: session)
        #expect(try other.loadBlock("b") == [1])
        proxy.hold()
        let answer = Monitor<StoreError?>(nil)
        let writer = TestThread(name: "late") {
            do throws(StoreError) {
                _ = try self.store(late, Bytes(repeating: 2, count: 5_000), by: session)
                answer.change { $0 = .closed }
            } catch {
                answer.change { $0 = error }
            }
        }
        #expect(Polling.wait { proxy.heldBytes >= 5_000 })
        _ = try other.commit(Batch(mutations: [.delete(key: session)]))
        try other.end(session: session)
        _ = try store(other, [3], by: nil)
        proxy.leaveAlone()
        writer.join()
        #expect(answer.withLock { $0 } == .fenced)
        #expect(try other.loadBlock("b") == [3])
        #expect(throws: StoreError.fenced) { try late.drop([bytes("b")], by: session) }
        #expect(throws: StoreError.fenced) { _ = try self.store(late, [4], by: session) }
        // It can still read, and work for another session.
        #expect(try late.loadBlock("b") == [3])
        let next = bytes("another")
        _ = try other.commit(Batch(mutations: [.setFields(key: next, [Pair("host", "a")])]))
        _ = try store(late, [5], by: next)
        #expect(try other.loadBlock("b") == [5])
    }

    @Test func `only connections of that session in that database are ended`() {
        let list = """
            id=3 addr=127.0.0.1:1 laddr=127.0.0.1:6379 fd=8 name=apusfs:{v}s1 age=0 db=0 sub=0
            id=4 addr=127.0.0.1:2 laddr=127.0.0.1:6379 fd=9 name=apusfs:{v}s11 age=0 db=0 sub=0
            id=5 addr=/tmp/s:0 laddr=/tmp/s:0 fd=9 name=a-test:{v}s1 age=0 db=0 sub=0
            id=6 addr=127.0.0.1:3 laddr=127.0.0.1:6379 fd=9 name=apusfs:{v}s1 age=0 db=10 sub=0
            id=7 addr=127.0.0.1:4 laddr=127.0.0.1:6379 fd=9 name=apusfs age=0 db=0 sub=0
            id=8 addr=127.0.0.1:5 laddr=127.0.0.1:6379 fd=9 name= age=0 db=0 sub=0

            """
        func found(_ session: String, _ database: Int) -> [Int64] {
            SessionClients.identifiers(
                in: bytes(list), of: bytes(session), database: database)
        }
        #expect(found("{v}s1", 0) == [3, 5])
        #expect(found("{v}s11", 0) == [4])
        #expect(found("{v}s1", 10) == [6])
        #expect(found("{w}s1", 0) == [])
        #expect(SessionClients.identifiers(in: [], of: bytes("{v}s1"), database: 0) == [])
    }
}
