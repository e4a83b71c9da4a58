import KeyValue
import Testing

@Suite struct BatchContractTests {
    @Test(arguments: StoreKind.allCases)
    func `a batch with an id sent twice answers the same and takes effect once`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        defer { store.close() }
        let session = bytes("session")
        _ = try store.commit(
            Batch(mutations: [.setFields(key: session, [Pair("host", "a")])]))
        let batch = Batch(
            id: BatchID(session: session, slot: 3, sequence: 1),
            mutations: [.increment(key: bytes("h"), field: bytes("n"), by: 5)])
        #expect(try store.commit(batch) == .committed(sums: [5]))
        #expect(try store.commit(batch) == .committed(sums: [5]))
        #expect(
            try store.read([.fields(key: bytes("h"), [bytes("n")])]) == [.values([bytes("5")])])
    }
}
