import KeyValue
import Primitives
import Testing

/// `Mutation.append`.
@Suite struct AppendContractTests {
    private let raw = InlineBlockHeader(low: 0x0807_0605_0403_0201, high: 0)
    private let packed = InlineBlockHeader(low: 0x0807_0605_0403_0299, high: 0xF0)
    private let keys = (0..<3).map { bytes("V/b{7/\($0 + 4)}") }
    private let file = bytes("{V}i7")
    private let size = bytes("s")

    /// Three blocks of 10 bytes, the first of which is the fifth of the file.
    private func append(_ payload: Bytes) -> Mutation {
        .append(
            BlockAppend(
                key: file, field: size, blocks: keys, start: 40, blockBytes: 10, header: raw,
                comparing: 8, payload: payload))
    }

    private func setSize(_ store: StoreUnderTest, _ size: Int) throws {
        try store.commit([], .setFields(key: file, [Pair("s", "\(size)")]))
    }

    @Test(arguments: StoreKind.allCases)
    func `bytes go behind the end, wherever that is, and make the blocks that lack`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        try setSize(store, 43)
        #expect(
            try store.commit([], append(bytes("abc")), append2(bytes("m")))
                == .committed(sums: [46, 1, 5]))
        #expect(try store.value(keys[0]) == raw.bytes + [0, 0, 0] + bytes("abc"))
        #expect(
            try store.commit([], append(bytes("0123456789ABCDE"))) == .committed(sums: [61, 2]))
        #expect(try store.value(keys[0]) == raw.bytes + [0, 0, 0] + bytes("abc0123"))
        #expect(try store.value(keys[1]) == raw.bytes + bytes("456789ABCD"))
        #expect(try store.value(keys[2]) == raw.bytes + bytes("E"))
        #expect(try store.commit([], append(everyByte(count: 9))) == .committed(sums: [70, 0]))
        #expect(try store.value(keys[2]) == raw.bytes + bytes("E") + everyByte(count: 9))
        #expect(try store.hash(file)[size] == bytes("70"))
    }

    /// Another mutation of the same batch, for its sum.
    private func append2(_ field: Bytes) -> Mutation {
        .increment(key: file, field: field, by: 5)
    }

    @Test(arguments: StoreKind.allCases)
    func `what does not fit is a condition behind the last one, and changes nothing`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let conditions: [Condition] = [.keyExists(file), .keyAbsent(bytes("none"))]
        func expectNoRoom(_ payload: Bytes) throws {
            let before = try store.hash(file)
            #expect(
                try store.commit(conditions, append(payload), append2(bytes("m")))
                    == .conditionFailed(index: 2))
            #expect(try store.hash(file) == before)
        }
        for size in [0, 39, 66, 70, 71, 1_000] {
            try setSize(store, size)
            try expectNoRoom(bytes("abcde"))
        }
        #expect(try !store.exists(keys[0]) && !store.exists(keys[2]))
        try setSize(store, 48)
        try store.commit([], .set(key: keys[1], value: packed.bytes + [1, 2, 3]))
        try expectNoRoom(bytes("abc"))
        #expect(try !store.exists(keys[0]))
        // Into the block before it there is room, and a shorter agreement is one.
        #expect(try store.commit(conditions, append(bytes("ab"))) == .committed(sums: [50, 1]))
        try store.commit([], .set(key: keys[1], value: bytes("")))
        try expectNoRoom(bytes("abc"))
        try store.commit([.keyAbsent(bytes("other"))], .set(key: keys[1], value: raw.bytes))
        #expect(try store.commit(conditions, append(bytes("abc"))) == .committed(sums: [53, 0]))
    }

    @Test(arguments: StoreKind.allCases)
    func `it is done once, however often it is sent, and fails once for all`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        try store.commit([], .setFields(key: bytes("session"), [Pair("host", "here")]))
        try setSize(store, 40)
        func send(_ sequence: UInt64, _ payload: Bytes) throws -> CommitOutcome {
            try store.store.commit(
                Batch(
                    id: BatchID(session: bytes("session"), slot: 3, sequence: sequence),
                    mutations: [append(payload)]))
        }
        for _ in 0..<3 { #expect(try send(1, bytes("abc")) == .committed(sums: [43, 1])) }
        #expect(try store.value(keys[0]) == raw.bytes + bytes("abc"))
        try setSize(store, 0)
        #expect(try send(2, bytes("abc")) == .conditionFailed(index: 0))
        try setSize(store, 40)
        #expect(try send(2, bytes("abc")) == .conditionFailed(index: 0))
        try store.commit([], .delete(key: bytes("session")))
        expectThrows(.fenced) { try send(3, bytes("abc")) }
        #expect(try store.hash(file)[size] == bytes("40"))
    }

    @Test(arguments: StoreKind.allCases)
    func `another kind of key, a length that is none and a second append are refused`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        try store.commit([], .setFields(key: file, [Pair("s", "many")]))
        expectThrows(.wrongKind) { try store.commit([], append(bytes("abc"))) }
        try setSize(store, 45)
        try store.commit([], .setFields(key: keys[0], [Pair("f", "1")]))
        expectThrows(.wrongKind) { try store.commit([], append(bytes("abc"))) }
        try store.commit([], .delete(key: keys[0]))
        expectThrows(.protocolViolation("an append that is not a batch's first mutation")) {
            try store.commit([], append(bytes("abc")), append(bytes("abc")))
        }
        #expect(try !store.exists(keys[0]))
        #expect(try store.hash(file)[size] == bytes("45"))
    }
}
