import KeyValue
import Primitives
import Testing

@Suite struct BlockContractTests {
    private let key = bytes("V/b{7/0}")
    private let raw = InlineBlockHeader(low: 0x0807_0605_0403_0201, high: 0xF0)
    private let packed = InlineBlockHeader(low: 0x0807_0605_0403_0299, high: 0xF0)

    private func write(
        _ store: StoreUnderTest, _ kind: BlockWrite.Kind, _ payload: Bytes, key: Bytes? = nil
    ) throws -> StoreOutcome.Write? {
        try payload.withUnsafeBytes { payload in
            try store.store.store(
                [BlockWrite(key: key ?? self.key, kind: kind, payload: payload)], then: nil
            ).writes.first
        }
    }

    private func load(
        _ store: StoreUnderTest, _ key: Bytes, room: Int
    ) throws -> (BlockLoadAnswer?, Bytes) {
        // A guard behind the destination shows whether anything was written there.
        var memory = Bytes(repeating: 0xEE, count: room + 64)
        let answer = try memory.withUnsafeMutableBytes { buffer in
            try store.store.load([
                BlockLoad(key: key, destination: .init(rebasing: buffer[..<room]))
            ]).first
        }
        #expect(memory[room...].allSatisfy { $0 == 0xEE })
        return (answer, memory)
    }

    @Test(
        arguments: StoreKind.allCases,
        [
            0, 1, 15, 16, 17, 47, 48, 49, 511, 512, 513, 4_096, 65_519, 65_520, 65_536, 126_976,
            1 << 20,
        ])
    func `a block is loaded as it was stored`(kind: StoreKind, count: Int) throws {
        let store = try kind.make()
        let payload = everyByte(count: count)
        #expect(try write(store, .replace(header: raw), payload) == .stored(created: nil))
        #expect(try store.value(key) == raw.bytes + payload)
        for room in [count, count + 1, count + 100_000] {
            let (answer, memory) = try load(store, key, room: room)
            #expect(answer == .loaded(header: raw, payloadBytes: count))
            #expect(memory[..<count] == payload[...])
        }
        if count > 0 {
            let (answer, _) = try load(store, key, room: count - 1)
            #expect(answer == .tooLong(payloadBytes: count))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `many blocks are loaded in one trip, in order, with what is wrong named`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        try store.commit(
            [], .set(key: bytes("short"), value: Bytes(repeating: 1, count: 15)),
            .set(key: bytes("empty"), value: []), .setFields(key: bytes("hash"), [Pair("a", "b")]))
        let sizes = [40_000, 0, 3, 126_976, 20_000, 16_384, 126_976]
        for (index, size) in sizes.enumerated() {
            _ = try write(
                store, .replace(header: .init(low: UInt64(index), high: 0)), everyByte(count: size),
                key: bytes("b\(index)"))
        }
        let room = 126_976
        let keys = [
            "b0", "none", "b1", "short", "b2", "b3", "hash", "b4", "empty", "b5", "b6", "none",
            "b3",
        ].map(bytes)
        var memory = Bytes(repeating: 0, count: room * keys.count)
        let before = store.store.roundTrips
        let answers = try memory.withUnsafeMutableBytes { buffer in
            try store.store.load(
                keys.enumerated().map { index, key in
                    BlockLoad(
                        key: key,
                        destination: .init(rebasing: buffer[index * room..<(index + 1) * room]))
                })
        }
        #expect(store.store.roundTrips == before + 1)
        for (index, key) in keys.enumerated() {
            switch String(decoding: key, as: UTF8.self) {
            case "none": #expect(answers[index] == .absent)
            case "short", "empty": #expect(answers[index] == .tooShort)
            case "hash": #expect(answers[index] == .wrongKind)
            case let name:
                let number = Int(name.dropFirst()) ?? 0
                #expect(
                    answers[index]
                        == .loaded(
                            header: .init(low: UInt64(number), high: 0), payloadBytes: sizes[number]
                        )
                )
                let start = index * room
                #expect(
                    memory[start..<start + sizes[number]] == everyByte(count: sizes[number])[...])
            }
        }
        #expect(try store.store.load([]) == [])
    }

    @Test(arguments: StoreKind.allCases)
    func `replace takes the place of whatever was there`(kind: StoreKind) throws {
        let store = try kind.make()
        try store.commit([], .setFields(key: key, [Pair("a", "b")]))
        _ = try write(store, .replace(header: raw), [1, 2, 3])
        #expect(try store.value(key) == raw.bytes + [1, 2, 3])
        _ = try write(store, .replace(header: packed), [4])
        #expect(try store.value(key) == packed.bytes + [4])
    }

    @Test(arguments: StoreKind.allCases)
    func `patch changes its own bytes and fills a gap with zeros`(kind: StoreKind) throws {
        let store = try kind.make()
        _ = try write(store, .replace(header: raw), [1, 2, 3, 4])
        #expect(try write(store, .patch(offset: 1), [9, 9]) == .stored(created: nil))
        #expect(try store.value(key) == raw.bytes + [1, 9, 9, 4])
        _ = try write(store, .patch(offset: 6), everyByte(count: 600))
        #expect(try store.value(key) == raw.bytes + [1, 9, 9, 4, 0, 0] + everyByte(count: 600))
        _ = try write(store, .patch(offset: 0), [])
        #expect(try store.value(key)?.count == 16 + 606)
    }

    @Test(arguments: StoreKind.allCases)
    func `patchMatching makes an absent block, patches a like one, and respects another`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let patch = BlockWrite.Kind.patchMatching(header: raw, comparing: 8, offset: 2)
        #expect(try write(store, patch, [5, 6]) == .stored(created: true))
        #expect(try store.value(key) == raw.bytes + [0, 0, 5, 6])
        #expect(try write(store, patch, [7]) == .stored(created: false))
        #expect(try store.value(key) == raw.bytes + [0, 0, 7, 6])
        // Equal in the first eight bytes only.
        let younger = InlineBlockHeader(low: raw.low, high: 0xAAAA)
        _ = try write(store, .replace(header: younger), [1, 1, 1])
        #expect(try write(store, patch, [8]) == .stored(created: false))
        #expect(try store.value(key) == younger.bytes + [1, 1, 8])
        _ = try write(store, .replace(header: packed), [1, 2, 3])
        #expect(try write(store, patch, [9]) == .conflict)
        #expect(try store.value(key) == packed.bytes + [1, 2, 3])
        try store.commit([], .set(key: key, value: [1]), .set(key: bytes("e"), value: []))
        #expect(try write(store, patch, [9]) == .conflict)
        #expect(try write(store, patch, [9], key: bytes("e")) == .conflict)
        try store.commit([], .setFields(key: bytes("h"), [Pair("a", "b")]))
        expectThrows(.wrongKind) { try write(store, patch, [9], key: bytes("h")) }
    }

    @Test(arguments: StoreKind.allCases)
    func `replaceMatching replaces what is expected, and stages nothing that stays`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let big = everyByte(count: 100_000)
        func replace(_ expected: InlineBlockHeader?, _ payload: Bytes) throws -> StoreOutcome.Write?
        {
            try write(store, .replaceMatching(header: raw, expected: expected), payload)
        }
        #expect(try replace(packed, big) == .conflict)
        #expect(try store.value(key) == nil)
        #expect(try replace(nil, big) == .stored(created: true))
        #expect(try store.value(key) == raw.bytes + big)
        #expect(try replace(nil, big) == .stored(created: true))
        #expect(try replace(packed, big) == .stored(created: false))
        #expect(try replace(nil, big.dropLast() + [big[0]]) == .conflict)
        #expect(try replace(nil, [1]) == .conflict)
        #expect(try replace(packed, [1]) == .conflict)
        // All sixteen bytes count.
        #expect(try replace(.init(low: raw.low, high: raw.high + 1), [1]) == .conflict)
        #expect(try store.value(key) == raw.bytes + big)
        #expect(try replace(raw, [1, 2]) == .stored(created: false))
        #expect(try store.value(key) == raw.bytes + [1, 2])
        try store.commit([], .set(key: key, value: []))
        #expect(try replace(nil, [1]) == .conflict)
        try store.commit([], .delete(key: key), .setFields(key: key, [Pair("a", "b")]))
        expectThrows(.wrongKind) { try replace(nil, [1]) }
        #expect(try store.hash(key) == [bytes("a"): bytes("b")])
        try store.commit([], .delete(key: key))
        if case .redis = kind { #expect(try store.keyCount() == 0) }
    }

    @Test(arguments: StoreKind.allCases)
    func `blocks and a batch are one round trip, the blocks first`(kind: StoreKind) throws {
        let store = try kind.make()
        let payload = everyByte(count: 10_000)
        let before = store.store.roundTrips
        let outcome = try payload.withUnsafeBytes { payload in
            try store.store.store(
                (0..<5).map {
                    BlockWrite(key: bytes("b\($0)"), kind: .replace(header: raw), payload: payload)
                } + [
                    BlockWrite(
                        key: bytes("b0"), kind: .patch(offset: 0),
                        payload: UnsafeRawBufferPointer(rebasing: payload[5..<9]))
                ],
                then: Batch(
                    conditions: [.keyExists(bytes("b4"))],
                    mutations: [
                        .increment(key: bytes("h"), field: bytes("n"), by: 3),
                        .delete(key: bytes("b3")),
                    ]))
        }
        #expect(store.store.roundTrips == before + 1)
        #expect(
            outcome
                == StoreOutcome(
                    writes: Array(repeating: .stored(created: nil), count: 6),
                    batch: .committed(sums: [3])))
        #expect(try store.value(bytes("b0")) == raw.bytes + payload[5..<9] + payload[4...])
        #expect(try store.value(bytes("b4")) == raw.bytes + payload)
        #expect(try !store.exists(bytes("b3")))
        #expect(try store.store.store([], then: nil) == StoreOutcome(writes: [], batch: nil))
        #expect(
            try store.store.store([], then: Batch(mutations: [.delete(key: bytes("b4"))]))
                == StoreOutcome(writes: [], batch: .committed(sums: [])))
    }

    @Test(arguments: StoreKind.allCases)
    func `a batch behind blocks can fail a condition; the blocks are stored`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let outcome = try everyByte(count: 100).withUnsafeBytes { payload in
            try store.store.store(
                [BlockWrite(key: key, kind: .replace(header: raw), payload: payload)],
                then: Batch(
                    conditions: [.keyAbsent(key)],
                    mutations: [.set(key: bytes("x"), value: [1])]))
        }
        #expect(
            outcome
                == StoreOutcome(
                    writes: [.stored(created: nil)], batch: .conditionFailed(index: 0)))
        #expect(try store.exists(key))
        #expect(try !store.exists(bytes("x")))
    }

    @Test(arguments: StoreKind.allCases)
    func `a block write that is refused stops the batch behind it`(kind: StoreKind) throws {
        let store = try kind.make()
        try store.commit([], .setFields(key: bytes("h"), [Pair("a", "b")]))
        for write in [
            BlockWrite.Kind.patch(offset: 0),
            .patchMatching(header: raw, comparing: 8, offset: 0),
            .replaceMatching(header: raw, expected: nil),
        ] {
            expectThrows(.wrongKind) {
                try everyByte(count: 1_000).withUnsafeBytes { payload in
                    try store.store.store(
                        [BlockWrite(key: bytes("h"), kind: write, payload: payload)],
                        then: Batch(mutations: [.set(key: bytes("x"), value: [1])]))
                }
            }
        }
        #expect(try !store.exists(bytes("x")))
        #expect(try store.hash(bytes("h")) == [bytes("a"): bytes("b")])
    }

    @Test(arguments: StoreKind.allCases)
    func `a conflict stops the batch and no other write`(kind: StoreKind) throws {
        let store = try kind.make()
        _ = try write(store, .replace(header: packed), [1])
        func both(_ expected: InlineBlockHeader) throws -> StoreOutcome {
            try Bytes([7, 8]).withUnsafeBytes { payload in
                try store.store.store(
                    [
                        BlockWrite(
                            key: key, kind: .replaceMatching(header: raw, expected: expected),
                            payload: payload),
                        BlockWrite(
                            key: bytes("other"),
                            kind: .patchMatching(header: raw, comparing: 16, offset: 0),
                            payload: payload),
                        BlockWrite(
                            key: bytes("plain"), kind: .replace(header: raw), payload: payload),
                    ], then: Batch(mutations: [.set(key: bytes("x"), value: [1])]))
            }
        }
        #expect(
            try both(raw)
                == StoreOutcome(
                    writes: [.conflict, .stored(created: true), .stored(created: nil)], batch: nil))
        #expect(try store.value(bytes("other")) == raw.bytes + [7, 8])
        #expect(try store.value(bytes("plain")) == raw.bytes + [7, 8])
        #expect(try !store.exists(bytes("x")))
        #expect(
            try both(packed)
                == StoreOutcome(
                    writes: [
                        .stored(created: false), .stored(created: false), .stored(created: nil),
                    ], batch: .committed(sums: [])))
        #expect(try store.exists(bytes("x")))
    }

    @Test(arguments: StoreKind.allCases)
    func `blocks of a session that is gone are neither stored nor dropped`(kind: StoreKind) throws {
        let store = try kind.make()
        let (here, gone) = (bytes("{V}s1"), bytes("{V}s2"))
        try store.commit([], .setFields(key: here, [Pair("host", "a")]))
        func replace(_ payload: Bytes, by session: Bytes) throws -> StoreOutcome {
            try payload.withUnsafeBytes { payload in
                try store.store.store(
                    [BlockWrite(key: key, kind: .replace(header: raw), payload: payload)],
                    then: Batch(mutations: [.set(key: bytes("done"), value: [1])]), by: session)
            }
        }
        #expect(try replace([1], by: here).batch == .committed(sums: []))
        try store.commit([], .delete(key: bytes("done")))
        expectThrows(.fenced) { try replace([2], by: gone) }
        expectThrows(.fenced) { try store.store.drop([key], by: gone) }
        #expect(try store.value(key) == raw.bytes + [1])
        #expect(try !store.exists(bytes("done")))
        try store.commit([], .delete(key: here))
        try store.store.end(session: here)
        expectThrows(.fenced) { try replace([3], by: here) }
        #expect(try store.value(key) == raw.bytes + [1])
    }

    @Test(arguments: StoreKind.allCases)
    func `drop deletes keys of any kind and minds no absent ones`(kind: StoreKind) throws {
        let store = try kind.make()
        try store.commit(
            [], .set(key: bytes("s"), value: [1]), .setFields(key: bytes("h"), [Pair("a", "b")]),
            .addMember(key: bytes("z"), Member(bytes("m"), score: 1)),
            .set(key: bytes("kept"), value: [1]))
        let before = store.store.roundTrips
        try store.store.drop((0..<300).map { bytes("none \($0)") } + ["s", "h", "z"].map(bytes))
        #expect(store.store.roundTrips == before + 1)
        try store.store.drop([])
        #expect(store.store.roundTrips == before + 1)
        #expect(
            try store.store.read([.existence(keys: ["s", "h", "z", "kept"].map(bytes))])
                == [.existing([false, false, false, true])])
    }

    @Test(arguments: StoreKind.allCases)
    func `a copied block is its source, header and all, and stays so when that changes`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let other = bytes("V/b{8/3}")
        _ = try write(store, .replace(header: packed), everyByte(count: 40_000))
        _ = try write(store, .replace(header: raw), everyByte(count: 5), key: other)
        let before = store.store.roundTrips
        #expect(
            try write(store, .copy(source: key, growth: 0), [], key: other) == .stored(created: nil)
        )
        #expect(store.store.roundTrips == before + 1)
        _ = try write(store, .patch(offset: 0), [9, 9, 9])
        #expect(try store.value(other) == packed.bytes + everyByte(count: 40_000))
    }

    @Test(arguments: StoreKind.allCases)
    func `a copy of an absent block is a conflict, changes nothing and stops the batch`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let there = bytes("V/b{8/3}")
        _ = try write(store, .replace(header: raw), [1, 2, 3], key: there)
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let outcome = try store.store.store(
            [
                BlockWrite(
                    key: there, kind: .copy(source: bytes("V/b{9/9}"), growth: 0),
                    payload: nothing),
                BlockWrite(key: key, kind: .copy(source: there, growth: 0), payload: nothing),
            ], then: Batch(mutations: [.set(key: bytes("mark"), value: [1])]))
        #expect(outcome.writes == [.conflict, .stored(created: nil)])
        #expect(outcome.batch == nil)
        #expect(try store.value(there) == raw.bytes + [1, 2, 3])
        #expect(try store.value(key) == raw.bytes + [1, 2, 3])
        #expect(try store.value(bytes("mark")) == nil)
    }
}
