import KeyValue
import Primitives
import Testing

@Suite struct LimitContractTests {
    /// A store that refuses growth, filled by blocks f0, f1, …
    private func full(_ kind: StoreKind) throws -> (StoreUnderTest, blocks: Int) {
        let store = try StoreUnderTest(kind, isLimited: true)
        try store.commit(
            [], .setFields(key: bytes("session"), [Pair("a", "b")]),
            .setFields(key: bytes("h"), [Pair("n", "1"), Pair("a", "b")]))
        let blocks = StoreUnderTest.limitBytes / 60_000 + 1
        try everyByte(count: 60_000).withUnsafeBytes { payload in
            for number in 0..<blocks {
                let write = BlockWrite(
                    key: bytes("f\(number)"), kind: .replace(header: .init(low: 1, high: 1)),
                    payload: payload)
                _ = try store.store.store([write], then: nil)
            }
        }
        try store.beginLimit()
        return (store, blocks)
    }

    @Test(arguments: StoreKind.allCases)
    func `a full store refuses growing batches whole, and says so of itself`(
        kind: StoreKind
    ) throws {
        let (store, _) = try full(kind)
        let id = BatchID(session: bytes("session"), slot: 0, sequence: 1)
        for mutations: [Mutation] in [
            [.set(key: bytes("new"), value: [1]), .delete(key: bytes("f0"))],
            [.setFields(key: bytes("h"), [Pair("new", "1")])],
            [.increment(key: bytes("h"), field: bytes("n"), by: 1)],
            [.addMember(key: bytes("z"), Member(bytes("m"), score: 1))],
            [.publish(channel: bytes("c"), key: bytes("h"), field: bytes("n"), message: [])],
        ] {
            expectThrows(.outOfMemory) {
                try store.store.commit(Batch(id: id, mutations: mutations))
            }
        }
        #expect(try store.hash(bytes("h")) == [bytes("n"): bytes("1"), bytes("a"): bytes("b")])
        #expect(try store.hash(bytes("session")) == [bytes("a"): bytes("b")])
        #expect(try store.exists(bytes("f0")))
        let status = try store.store.status()
        #expect(status.limitBytes == UInt64(StoreUnderTest.limitBytes))
        #expect(status.usedBytes >= status.limitBytes)
        #expect(!status.mayEvict)
    }

    @Test(arguments: StoreKind.allCases)
    func `a full store refuses blocks, and then the batch behind them`(kind: StoreKind) throws {
        let (store, _) = try full(kind)
        for write in [
            BlockWrite.Kind.replace(header: .init(low: 2, high: 2)), .patch(offset: 100_000),
            .patchMatching(header: .init(low: 1, high: 1), comparing: 16, offset: 70_000),
            .replaceMatching(header: .init(low: 2, high: 2), expected: .init(low: 1, high: 1)),
        ] {
            expectThrows(.outOfMemory) {
                try everyByte(count: 60_000).withUnsafeBytes { payload in
                    try store.store.store(
                        [BlockWrite(key: bytes("f0"), kind: write, payload: payload)],
                        then: Batch(mutations: [.delete(key: bytes("f1"))]))
                }
            }
        }
        #expect(try store.exists(bytes("f1")))
        #expect(
            try store.value(bytes("f0"))
                == InlineBlockHeader(low: 1, high: 1).bytes + everyByte(count: 60_000))
        #expect(try !store.exists(bytes("f0~")))
    }

    @Test(arguments: StoreKind.allCases)
    func `deletions are let through, and after them growth`(kind: StoreKind) throws {
        let (store, blocks) = try full(kind)
        let id = BatchID(session: bytes("session"), slot: 0, sequence: 1)
        let outcome = try store.store.commit(
            Batch(
                id: id, conditions: [.keyExists(bytes("f0"))],
                mutations: [
                    .deleteFields(key: bytes("h"), [bytes("a")]), .delete(key: bytes("f0")),
                    .increment(key: bytes("h"), field: bytes("n"), by: 1),
                    .addMember(key: bytes("z"), Member(bytes("m"), score: 1)),
                ]))
        #expect(outcome == .committed(sums: [2]))
        #expect(try store.hash(bytes("session"))[bytes("b0")] == bytes("1 c 2"))
        try store.store.drop((1..<blocks - 1).map { bytes("f\($0)") })
        // Redis releases the memory of dropped values in the background.
        let deadline = Deadline.after(milliseconds: 10_000)
        while try store.store.status().usedBytes >= UInt64(StoreUnderTest.limitBytes) {
            guard !deadline.hasPassed else {
                Issue.record("the memory of dropped blocks is not released")
                return
            }
        }
        #expect(try store.commit([], .set(key: bytes("new"), value: [1])) == .committed(sums: []))
    }

    @Test(arguments: StoreKind.allCases)
    func `a full store can still judge conditions and answer reads`(kind: StoreKind) throws {
        let (store, _) = try full(kind)
        let id = BatchID(session: bytes("session"), slot: 0, sequence: 1)
        #expect(
            try store.store.commit(
                Batch(
                    id: id, conditions: [.keyAbsent(bytes("f0"))],
                    mutations: [.set(key: bytes("new"), value: [1])]))
                == .conditionFailed(index: 0))
        #expect(try store.exists(bytes("f0")))
    }
}
