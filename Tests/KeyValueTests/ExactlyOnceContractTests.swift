import KeyValue
import Primitives
import Testing

@Suite struct ExactlyOnceContractTests {
    private let session = bytes("session")

    private func withSession(_ kind: StoreKind) throws -> StoreUnderTest {
        let store = try kind.make()
        try store.commit([], .setFields(key: session, [Pair("host", "a")]))
        return store
    }

    private func batch(
        slot: Int = 3, _ sequence: UInt64, _ conditions: [Condition] = [], _ mutations: Mutation...
    ) -> Batch {
        Batch(
            id: BatchID(session: session, slot: slot, sequence: sequence), conditions: conditions,
            mutations: mutations)
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch sent twice answers the same and takes effect once`(kind: StoreKind) throws {
        let store = try withSession(kind)
        let increment = batch(
            1, [], .increment(key: bytes("h"), field: bytes("n"), by: 5),
            .increment(key: bytes("h"), field: bytes("n"), by: -1))
        for _ in 0..<3 {
            #expect(try store.store.commit(increment) == .committed(sums: [5, 4]))
        }
        #expect(try store.hash(bytes("h")) == [bytes("n"): bytes("4")])
        #expect(try store.hash(session)[bytes("b3")] == bytes("1 c 5 4"))
    }

    @Test(arguments: StoreKind.allCases)
    func `a failure is remembered too, so that a late copy does nothing`(kind: StoreKind) throws {
        let store = try withSession(kind)
        let create = batch(
            7, [.keyExists(session), .keyAbsent(bytes("k"))], .set(key: bytes("k"), value: [1]))
        try store.commit([], .set(key: bytes("k"), value: [2]))
        #expect(try store.store.commit(create) == .conditionFailed(index: 1))
        try store.commit([], .delete(key: bytes("k")))
        #expect(try store.store.commit(create) == .conditionFailed(index: 1))
        #expect(try !store.exists(bytes("k")))
        #expect(try store.hash(session)[bytes("b3")] == bytes("7 f 1"))
    }

    @Test(arguments: StoreKind.allCases)
    func `a slot is used again with the next number, and slots do not disturb each other`(
        kind: StoreKind
    ) throws {
        let store = try withSession(kind)
        func add(_ slot: Int, _ sequence: UInt64) throws -> CommitOutcome {
            try store.store.commit(
                batch(
                    slot: slot, sequence, [], .increment(key: bytes("h"), field: bytes("n"), by: 1))
            )
        }
        #expect(try add(0, 9) == .committed(sums: [1]))
        #expect(try add(0, 10) == .committed(sums: [2]))
        #expect(try add(63, 1) == .committed(sums: [3]))
        #expect(try add(0, 10) == .committed(sums: [2]))
        #expect(try add(0, 11) == .committed(sums: [4]))
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch that comes after a later one of its slot does nothing`(kind: StoreKind) throws {
        let store = try withSession(kind)
        for sequence in [99, 100] as [UInt64] {
            _ = try store.store.commit(batch(sequence, [], .set(key: bytes("k"), value: [1])))
        }
        #expect(throws: StoreError.self) {
            try store.store.commit(batch(99, [], .set(key: bytes("k"), value: [2])))
        }
        #expect(throws: StoreError.self) {
            try store.store.commit(batch(9, [], .set(key: bytes("k"), value: [3])))
        }
        #expect(try store.value(bytes("k")) == [1])
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch of a session that is gone is fenced`(kind: StoreKind) throws {
        let store = try withSession(kind)
        try store.commit([], .delete(key: session))
        expectThrows(.fenced) {
            try store.store.commit(batch(1, [], .set(key: bytes("k"), value: [1])))
        }
        expectThrows(.fenced) {
            try store.store.commit(batch(1, [.keyExists(bytes("k"))]))
        }
        #expect(try !store.exists(bytes("k")))
        #expect(try !store.exists(session))
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch that deletes its own session leaves nothing of it`(kind: StoreKind) throws {
        let store = try withSession(kind)
        let end = batch(1, [], .delete(key: session), .set(key: bytes("k"), value: [1]))
        #expect(try store.store.commit(end) == .committed(sums: []))
        #expect(try !store.exists(session))
        expectThrows(.fenced) { try store.store.commit(end) }
    }

    @Test(arguments: StoreKind.allCases)
    func `a refused batch is not remembered`(kind: StoreKind) throws {
        let store = try withSession(kind)
        try store.commit([], .set(key: bytes("s"), value: [1]))
        let refused = batch(1, [], .setFields(key: bytes("s"), [Pair("a", "1")]))
        expectThrows(.wrongKind) { try store.store.commit(refused) }
        try store.commit([], .delete(key: bytes("s")))
        #expect(try store.store.commit(refused) == .committed(sums: []))
        #expect(try store.hash(bytes("s")) == [bytes("a"): bytes("1")])
    }

    @Test(arguments: StoreKind.allCases)
    func `a session that is no hash, or remembers nonsense, is an error`(kind: StoreKind) throws {
        let store = try withSession(kind)
        try store.commit([], .setFields(key: session, [Pair("b3", "nonsense")]))
        #expect(throws: StoreError.self) {
            try store.store.commit(batch(1, [], .set(key: bytes("k"), value: [1])))
        }
        try store.commit([], .set(key: session, value: [1]))
        expectThrows(.wrongKind) {
            try store.store.commit(batch(1, [], .set(key: bytes("k"), value: [1])))
        }
        #expect(try !store.exists(bytes("k")))
    }

    @Test(arguments: StoreKind.allCases)
    func `blocks stored with a batch sent twice are stored, and the batch happens once`(
        kind: StoreKind
    ) throws {
        let store = try withSession(kind)
        let header = InlineBlockHeader(low: 1, high: 2)
        let increment = batch(1, [], .increment(key: bytes("h"), field: bytes("n"), by: 1))
        for _ in 0..<2 {
            let outcome = try everyByte(count: 5_000).withUnsafeBytes { payload in
                try store.store.store(
                    [BlockWrite(key: bytes("b"), kind: .replace(header: header), payload: payload)],
                    then: increment)
            }
            #expect(
                outcome
                    == StoreOutcome(writes: [.stored(created: nil)], batch: .committed(sums: [1])))
        }
        #expect(try store.hash(bytes("h")) == [bytes("n"): bytes("1")])
        #expect(try store.value(bytes("b")) == header.bytes + everyByte(count: 5_000))
    }
}
