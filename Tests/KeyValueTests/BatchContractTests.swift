import KeyValue
import Primitives
import Testing

@Suite struct BatchContractTests {
    /// A string "s" of "value", a hash "h" with fields f = "1", text = "abc", an ordered set "z".
    private func prepared(_ kind: StoreKind) throws -> StoreUnderTest {
        let store = try kind.make()
        try store.commit(
            [], .set(key: bytes("s"), value: bytes("value")),
            .setFields(key: bytes("h"), [Pair("f", "1"), Pair("text", "abc")]),
            .addMember(key: bytes("z"), Member(bytes("m"), score: 5)))
        return store
    }

    private static let holding: [Condition] = [
        .keyExists(bytes("s")), .keyExists(bytes("h")), .keyExists(bytes("z")),
        .keyAbsent(bytes("none")), .fieldExists(key: bytes("h"), field: bytes("f")),
        .fieldAbsent(key: bytes("h"), field: bytes("g")),
        .fieldAbsent(key: bytes("none"), field: bytes("g")),
        .fieldEquals(key: bytes("h"), field: bytes("text"), value: bytes("abc")),
        .fieldEquals(key: bytes("h"), field: bytes("f"), value: bytes("1")),
        .valueEquals(key: bytes("s"), value: bytes("value")),
    ]

    private static let failing: [Condition] = [
        .keyExists(bytes("none")), .keyAbsent(bytes("s")), .keyAbsent(bytes("h")),
        .keyAbsent(bytes("z")), .fieldExists(key: bytes("h"), field: bytes("g")),
        .fieldExists(key: bytes("none"), field: bytes("g")),
        .fieldAbsent(key: bytes("h"), field: bytes("f")),
        .fieldEquals(key: bytes("h"), field: bytes("f"), value: bytes("0")),
        .fieldEquals(key: bytes("h"), field: bytes("g"), value: bytes("")),
        .fieldEquals(key: bytes("h"), field: bytes("g"), value: bytes("false")),
        .fieldEquals(key: bytes("none"), field: bytes("g"), value: bytes("")),
        .valueEquals(key: bytes("s"), value: bytes("valu")),
        .valueEquals(key: bytes("none"), value: bytes("")),
    ]

    @Test(arguments: StoreKind.allCases)
    func `every kind of condition can hold, and then everything happens`(kind: StoreKind) throws {
        let store = try prepared(kind)
        let outcome = try store.commit(
            Self.holding, .set(key: bytes("new"), value: bytes("1")), .delete(key: bytes("s")))
        #expect(outcome == .committed(sums: []))
        #expect(try store.value(bytes("new")) == bytes("1"))
        #expect(try store.value(bytes("s")) == nil)
    }

    @Test(arguments: StoreKind.allCases)
    func `the first condition that fails is named and nothing happens`(kind: StoreKind) throws {
        let store = try prepared(kind)
        for condition in Self.failing {
            let outcome = try store.commit(
                Self.holding + [condition] + [.keyExists(bytes("none"))],
                .set(key: bytes("new"), value: bytes("1")),
                .deleteFields(key: bytes("h"), [bytes("f")]))
            #expect(outcome == .conditionFailed(index: Self.holding.count), "\(condition)")
        }
        #expect(try store.value(bytes("new")) == nil)
        #expect(try store.hash(bytes("h"))[bytes("f")] == bytes("1"))
    }

    @Test(arguments: StoreKind.allCases)
    func `strings and keys are set and deleted, whatever they held`(kind: StoreKind) throws {
        let store = try prepared(kind)
        try store.commit(
            [], .set(key: bytes("h"), value: bytes("now a string")), .delete(key: bytes("z")),
            .delete(key: bytes("none")))
        #expect(try store.value(bytes("h")) == bytes("now a string"))
        #expect(try !store.exists(bytes("z")))
    }

    @Test(arguments: StoreKind.allCases)
    func `fields are set and deleted, and a hash goes with its last field`(kind: StoreKind) throws {
        let store = try prepared(kind)
        try store.commit(
            [], .setFields(key: bytes("h"), [Pair("f", "2"), Pair("g", ""), Pair("f", "3")]),
            .deleteFields(key: bytes("h"), [bytes("text"), bytes("none")]),
            .deleteFields(key: bytes("none"), [bytes("a")]),
            .setFields(key: bytes("h2"), [Pair("only", "1")]), .setFields(key: bytes("none"), []),
            .deleteFields(key: bytes("h"), []))
        #expect(try store.hash(bytes("h")) == [bytes("f"): bytes("3"), bytes("g"): []])
        try store.commit([], .deleteFields(key: bytes("h2"), [bytes("only")]))
        #expect(try !store.exists(bytes("h2")))
        #expect(try !store.exists(bytes("none")))
        let count = try store.store.read([.fieldCount(key: bytes("h2"))])
        #expect(count == [.count(0)])
    }

    @Test(arguments: StoreKind.allCases)
    func `increments answer with their sums, in order`(kind: StoreKind) throws {
        let store = try prepared(kind)
        let limit: Int64 = 1 << 53
        let outcome = try store.commit(
            [], .increment(key: bytes("h"), field: bytes("f"), by: 41),
            .increment(key: bytes("h"), field: bytes("f"), by: -50),
            .increment(key: bytes("new"), field: bytes("n"), by: limit),
            .increment(key: bytes("new"), field: bytes("m"), by: -limit))
        #expect(outcome == .committed(sums: [42, -8, limit, -limit]))
        #expect(try store.hash(bytes("new"))[bytes("m")] == Bytes(decimal: -limit))
    }

    @Test(arguments: StoreKind.allCases)
    func `raise compares any 64-bit numbers`(kind: StoreKind) throws {
        let store = try kind.make()
        let numbers: [Int64] = [
            .min, .min + 1, -9_007_199_254_740_994, -9_007_199_254_740_993, -100, -99, -10, -9, -1,
            0,
            1, 9, 10, 99, 100, 9_007_199_254_740_993, 9_007_199_254_740_994, .max - 1, .max,
        ]
        var mutations: [Mutation] = []
        for (row, old) in numbers.enumerated() {
            for (column, new) in numbers.enumerated() {
                let field = bytes("\(row),\(column)")
                mutations.append(
                    .setFields(key: bytes("h"), [Pair(field, Bytes(decimal: old))]))
                mutations.append(.raise(key: bytes("h"), field: field, to: new))
            }
        }
        for start in stride(from: 0, to: mutations.count, by: 500) {
            _ = try store.store.commit(
                Batch(mutations: Array(mutations[start..<min(start + 500, mutations.count)])))
        }
        let found = try store.hash(bytes("h"))
        for (row, old) in numbers.enumerated() {
            for (column, new) in numbers.enumerated() {
                #expect(
                    found[bytes("\(row),\(column)")] == Bytes(decimal: max(old, new)),
                    "\(old) raised to \(new)")
            }
        }
        try store.commit([], .raise(key: bytes("new"), field: bytes("n"), to: .min))
        #expect(try store.hash(bytes("new")) == [bytes("n"): Bytes(decimal: Int64.min)])
    }

    @Test(arguments: StoreKind.allCases)
    func `members are ordered by score and have one score each`(kind: StoreKind) throws {
        let store = try kind.make()
        let key = bytes("z")
        try store.commit(
            [], .addMember(key: key, Member(bytes("b"), score: 2)),
            .addMember(key: key, Member(bytes("a"), score: -1)),
            .addMember(key: key, Member(bytes("c"), score: 1 << 53)),
            .addMember(key: key, Member(bytes("b"), score: 7)),
            .addMember(key: key, Member(bytes("d"), score: 7)),
            .addMember(key: key, Member(bytes("e"), score: 1)),
            .removeMember(key: key, name: bytes("e")),
            .removeMember(key: key, name: bytes("none")))
        let answers = try store.store.read([
            .members(key: key, upTo: 1 << 53, limit: 10), .members(key: key, upTo: 7, limit: 2),
            .members(key: key, upTo: -2, limit: 2), .members(key: bytes("none"), upTo: 9, limit: 2),
        ])
        #expect(
            answers == [
                .members([
                    Member(bytes("a"), score: -1), Member(bytes("b"), score: 7),
                    Member(bytes("d"), score: 7), Member(bytes("c"), score: 1 << 53),
                ]),
                .members([Member(bytes("a"), score: -1), Member(bytes("b"), score: 7)]),
                .members([]), .members([]),
            ])
        try store.commit(
            [], .removeMember(key: key, name: bytes("a")),
            .removeMember(key: key, name: bytes("b")),
            .removeMember(key: key, name: bytes("c")), .removeMember(key: key, name: bytes("d")))
        #expect(try !store.exists(key))
    }

    @Test(arguments: StoreKind.allCases)
    func `a member that is due has the store's time plus a delay as its score`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        func time() throws -> Int64 {
            guard case .time(let now)? = try store.store.read([.time]).first else { return 0 }
            return now
        }
        let before = try time()
        try store.commit(
            [], .addMemberDue(key: bytes("z"), name: bytes("x"), inMilliseconds: 60_000))
        let after = try time()
        let answer = try store.store.read([.members(key: bytes("z"), upTo: .max >> 10, limit: 9)])
        guard case .members(let members)? = answer.first, let member = members.first else {
            Issue.record("no member")
            return
        }
        #expect(members.count == 1)
        #expect((before + 60_000...after + 60_000).contains(member.score))
    }

    @Test(arguments: StoreKind.allCases)
    func `batches of a thousand fields and of none are taken`(kind: StoreKind) throws {
        let store = try kind.make()
        let pairs = (0..<2_345).map { Pair("field \($0)", "\($0)") }
        try store.commit([], .setFields(key: bytes("h"), pairs))
        #expect(try store.hash(bytes("h")).count == 2_345)
        try store.commit([], .deleteFields(key: bytes("h"), pairs.dropLast().map(\.field)))
        #expect(try store.hash(bytes("h")) == [bytes("field 2344"): bytes("2344")])
        #expect(try store.commit([]) == .committed(sums: []))
    }

    @Test(arguments: StoreKind.allCases)
    func `names and values hold every byte, none, and a megabyte`(kind: StoreKind) throws {
        let store = try kind.make()
        let odd = everyByte(count: 256)
        let big = everyByte(count: 1 << 20)
        try store.commit(
            [.fieldAbsent(key: odd, field: odd)],
            .setFields(key: odd, [Pair(odd, odd), Pair([], [])]),
            .set(key: [0], value: []), .set(key: [13, 10], value: big),
            .setFields(key: bytes("h"), [Pair(bytes("big"), big)]),
            .addMember(key: [255, 0], Member(odd, score: 1)))
        #expect(try store.hash(odd) == [odd: odd, []: []])
        #expect(try store.value([0]) == [])
        #expect(try store.value([13, 10]) == big)
        #expect(
            try store.store.read([.fields(key: bytes("h"), [bytes("big"), bytes("none")])])
                == [.values([big, nil])])
        #expect(
            try store.store.read([.members(key: [255, 0], upTo: 1, limit: 1)])
                == [.members([Member(odd, score: 1)])])
        #expect(
            try store.commit(
                [
                    .fieldEquals(key: odd, field: odd, value: odd),
                    .valueEquals(key: [0], value: []),
                    .fieldEquals(key: odd, field: [], value: []),
                    .valueEquals(key: [13, 10], value: big),
                ], .delete(key: odd)) == .committed(sums: []))
    }

    /// Each is refused by its last mutation.
    private static let impossible: [[Mutation]] = [
        [.setFields(key: bytes("s"), [Pair("a", "b")])],
        [.deleteFields(key: bytes("z"), [bytes("a")])],
        [.addMember(key: bytes("h"), Member(bytes("a"), score: 1))],
        [.removeMember(key: bytes("s"), name: bytes("a"))],
        [.addMemberDue(key: bytes("s"), name: bytes("a"), inMilliseconds: 1)],
        [.increment(key: bytes("s"), field: bytes("a"), by: 1)],
        [.increment(key: bytes("h"), field: bytes("text"), by: 1)],
        [.increment(key: bytes("h"), field: bytes("f"), by: .max)],
        [.increment(key: bytes("h"), field: bytes("f"), by: 1 << 53)],
        [.raise(key: bytes("h"), field: bytes("text"), to: 1)],
        [.raise(key: bytes("z"), field: bytes("text"), to: 1)],
        [.publish(channel: bytes("c"), key: bytes("h"), field: bytes("text"), message: [])],
        [.publish(channel: bytes("c"), key: bytes("s"), field: bytes("text"), message: [])],
        [
            .set(key: bytes("new"), value: bytes("1")),
            .setFields(key: bytes("new"), [Pair("a", "b")]),
        ],
        [
            .setFields(key: bytes("new"), [Pair("a", "b")]),
            .increment(key: bytes("new"), field: bytes("a"), by: 1),
        ],
        [
            .raise(key: bytes("new"), field: bytes("a"), to: .max),
            .increment(key: bytes("new"), field: bytes("a"), by: 1),
        ],
        [
            .setFields(key: bytes("new"), [Pair("a", "b")]),
            .addMember(key: bytes("new"), Member(bytes("a"), score: 1)),
        ],
    ]

    @Test(arguments: StoreKind.allCases)
    func `a batch with a mutation that cannot be is refused before its first one`(
        kind: StoreKind
    ) throws {
        let store = try prepared(kind)
        for mutations in Self.impossible {
            expectThrows(.wrongKind) {
                try store.store.commit(
                    Batch(mutations: [.set(key: bytes("first"), value: [1])] + mutations))
            }
            #expect(try !store.exists(bytes("first")), "\(mutations)")
            #expect(try !store.exists(bytes("new")), "\(mutations)")
        }
        #expect(try store.value(bytes("s")) == bytes("value"))
        #expect(
            try store.hash(bytes("h")) == [bytes("f"): bytes("1"), bytes("text"): bytes("abc")])
    }

    @Test(arguments: StoreKind.allCases)
    func `numbers that no store writes are refused by increment and raise`(kind: StoreKind) throws {
        let store = try kind.make()
        for odd in ["", "-", "+1", "01", "-0", "1 ", " 1", "1.0", "0x1", "9223372036854775808"] {
            try store.commit([], .setFields(key: bytes("h"), [Pair("f", odd)]))
            expectThrows(.wrongKind) {
                try store.commit([], .raise(key: bytes("h"), field: bytes("f"), to: 3))
            }
            expectThrows(.wrongKind) {
                try store.commit([], .increment(key: bytes("h"), field: bytes("f"), by: 3))
            }
        }
        try store.commit([], .setFields(key: bytes("h"), [Pair("f", "9007199254740993")]))
        expectThrows(.wrongKind) {
            try store.commit([], .increment(key: bytes("h"), field: bytes("f"), by: -3))
        }
        let outcome = try store.commit(
            [], .setFields(key: bytes("h"), [Pair("f", "9007199254740991")]),
            .increment(key: bytes("h"), field: bytes("f"), by: 1))
        #expect(outcome == .committed(sums: [9_007_199_254_740_992]))
    }

    @Test(arguments: StoreKind.allCases)
    func `a key that the batch itself deleted may become another kind`(kind: StoreKind) throws {
        let store = try prepared(kind)
        try store.commit(
            [], .delete(key: bytes("z")), .setFields(key: bytes("z"), [Pair("a", "1")]),
            .delete(key: bytes("h")), .increment(key: bytes("h"), field: bytes("text"), by: 2))
        #expect(try store.hash(bytes("z")) == [bytes("a"): bytes("1")])
        #expect(try store.hash(bytes("h")) == [bytes("text"): bytes("2")])
    }

    @Test(arguments: StoreKind.allCases)
    func `a condition on a key of another kind is an error`(kind: StoreKind) throws {
        let store = try prepared(kind)
        for condition: Condition in [
            .fieldExists(key: bytes("s"), field: bytes("a")),
            .fieldAbsent(key: bytes("z"), field: bytes("a")),
            .fieldEquals(key: bytes("s"), field: bytes("a"), value: []),
            .valueEquals(key: bytes("h"), value: []),
        ] {
            expectThrows(.wrongKind) { try store.commit([condition], .delete(key: bytes("s"))) }
        }
        #expect(try store.exists(bytes("s")))
    }
}
