import KeyValue
import Primitives
import Testing

@Suite struct LimitContractTests {
    /// A store that refuses growth, filled by blocks f0, f1, …
    private func full(_ kind: StoreKind) throws -> (StoreUnderTest, blocks: Int) {
        let store = try StoreUnderTest(kind, limit: StoreUnderTest.limitBytes)
        try store.commit(
            [], .setFields(key: bytes("session"), [Pair("a", "b")]),
            .setFields(key: bytes("h"), [Pair("n", "1"), Pair("a", "b")]))
        let blocks = StoreUnderTest.limitBytes / 60_000 + 1
        // By batches: blocks do not fill a store.
        let block = InlineBlockHeader(low: 1, high: 1).bytes + everyByte(count: 60_000)
        for number in 0..<blocks {
            try store.commit([], .set(key: bytes("f\(number)"), value: block))
        }
        try store.beginLimit()
        return (store, blocks)
    }

    @Test(arguments: StoreKind.allCases)
    func `blocks leave a reserve in which batches work, and come in again when there is room`(
        kind: StoreKind
    ) throws {
        // The reserve is 1 MiB: what the connections of a server take comes and goes.
        let store = try StoreUnderTest(kind, limit: 32 << 20)
        try store.beginLimit()
        try store.commit([], .setFields(key: bytes("h"), [Pair("n", "1000000")]))
        let payload = everyByte(count: 200_000)
        func put(_ number: Int, _ kind: BlockWrite.Kind) throws {
            try payload.withUnsafeBytes { payload in
                let write = BlockWrite(
                    key: bytes("f\(number)"), kind: kind, payload: payload)
                _ = try store.store.store(
                    [write], then: Batch(mutations: [.set(key: bytes("last"), value: [1])]))
            }
        }
        let made = BlockWrite.Kind.replace(header: .init(low: 1, high: 1))
        var blocks = 0
        while blocks < 1_000 {
            do {
                try put(blocks, made)
            } catch {
                #expect(error as? StoreError == .outOfMemory)
                break
            }
            blocks += 1
        }
        #expect((100..<170).contains(blocks))
        let status = try store.store.status()
        let reserve = status.reserveBytes
        #expect(reserve == status.limitBytes / 32)
        #expect(status.usedBytes <= status.limitBytes - reserve / 2)
        for kind in [
            .patch(offset: 0),
            .patchMatching(header: .init(low: 1, high: 1), comparing: 16, offset: 0),
            .replaceMatching(header: .init(low: 2, high: 2), expected: nil),
        ] as [BlockWrite.Kind] {
            expectThrows(.outOfMemory) { try put(blocks, kind) }
        }
        let append = BlockAppend(
            key: bytes("h"), field: bytes("n"), blocks: [bytes("a")], start: 1_000_000,
            blockBytes: 262_144, header: .init(low: 1, high: 1), comparing: 16, payload: payload)
        expectThrows(.outOfMemory) { try store.commit([], .append(append)) }
        #expect(try !store.exists(bytes("f\(blocks)")))
        let value = String(repeating: "x", count: 4_000)
        for number in 0..<Int(reserve) / 2 / 5_000 {
            try store.commit([], .setFields(key: bytes("name\(number)"), [Pair("value", value)]))
        }
        try store.store.drop((0..<blocks / 2).map { bytes("f\($0)") })
        // Redis releases the memory of dropped values in the background.
        let deadline = Deadline.after(milliseconds: 10_000)
        while true {
            do {
                try put(blocks, made)
                break
            } catch {
                #expect(error as? StoreError == .outOfMemory)
                guard !deadline.hasPassed else {
                    Issue.record("blocks are refused although there is room")
                    return
                }
            }
        }
        #expect(try store.commit([], .append(append)) == .committed(sums: [1_200_000, 1]))
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
