import KeyValue
import Testing

/// Batches made at random have the same effect on every store, whichever way they are carried out.
@Suite struct RandomBatchContractTests {
    /// Fewer than a store makes scripts for.
    private static let batchesPerStore = 60

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `all stores agree on outcome and contents`(seed: UInt64) throws {
        let stores = try StoreKind.allCases.map { try $0.make() }
        for store in stores {
            try store.commit(
                [], .setFields(key: bytes("session"), [Pair("host", "a")]),
                .setFields(
                    key: bytes("damaged"),
                    [Pair("a", "007"), Pair("b", "9223372036854775808"), Pair("c", "x")]),
                .setFields(
                    key: bytes("large"),
                    [
                        Pair("a", "9007199254740992"), Pair("b", "-9223372036854775808"),
                        Pair("c", "9223372036854775807"),
                    ]))
        }
        var source = BatchSource(seed: seed)
        var happened = 0
        for sequence in 1...UInt64(Self.batchesPerStore) {
            let batch = source.next(sequence)
            let outcomes = stores.map { store in
                Result<CommitOutcome, StoreError> { () throws(StoreError) in
                    try store.store.commit(batch)
                }
            }
            let contents = try stores.map { try BatchSource.contents(of: $0) }
            try #require(outcomes.allSatisfy { $0 == outcomes[0] }, "\(batch): \(outcomes)")
            try #require(contents.allSatisfy { $0 == contents[0] }, "\(batch): \(contents)")
            if case .success(.committed) = outcomes[0] { happened += 1 }
        }
        #expect(happened > Self.batchesPerStore / 10)
    }
}

/// Batches over a few keys and fields, so that they meet.
private struct BatchSource {
    private static let keys = ["h", "i", "s", "z", "damaged", "large", "none"].map(bytes)
    private static let fields = ["a", "b", "c"].map(bytes)
    private static let numbers: [Int64] = [
        0, 1, -1, 7, 1_800_000_000_000_000_001, -5_000_000_000_000_000_000, .max, .min,
    ]
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next(_ sequence: UInt64) -> Batch {
        Batch(
            id: below(4) == 0
                ? nil : BatchID(session: bytes("session"), slot: 3, sequence: sequence),
            conditions: (0..<below(3)).map { _ in condition() },
            mutations: (0..<1 + below(5)).map { _ in mutation() })
    }

    /// What all keys hold, without the memory of answers.
    static func contents(of store: StoreUnderTest) throws -> [Bytes: [Bytes: Bytes]] {
        var found: [Bytes: [Bytes: Bytes]] = [:]
        for key in keys where try store.exists(key) {
            if let hash = try? store.hash(key) {
                found[key] = hash
            } else if let value = try? store.value(key) {
                found[key] = [[]: value]
            } else {
                let members = try store.store.read([.members(key: key, upTo: .max, limit: 100)])
                found[key] = [[]: bytes("\(members)")]
            }
        }
        return found
    }

    private mutating func condition() -> Condition {
        let (key, field) = (key(), field())
        return switch below(7) {
        case 0: .keyExists(key)
        case 1: .keyAbsent(bytes("none"))
        case 2: .fieldExists(key: key, field: field)
        case 3: .fieldAbsent(key: key, field: field)
        case 4: .fieldEquals(key: key, field: field, value: bytes("1"))
        case 5: .valueEquals(key: bytes("s"), value: bytes("v"))
        default: .keyAbsent(key)
        }
    }

    private mutating func mutation() -> Mutation {
        let (key, field) = (key(), field())
        return switch below(16) {
        case 0: .set(key: bytes("s"), value: bytes("v"))
        case 1: .delete(key: key)
        case 2: .setFields(key: key, [Pair(field, bytes("1")), Pair("z", "text")])
        case 3: .deleteFields(key: key, [field])
        case 4, 5, 6: .increment(key: key, field: field, by: Int64(below(5)) - 2)
        case 7: .increment(key: key, field: field, by: -(1 << 52))
        case 8, 9, 10: .raise(key: key, field: field, to: Self.numbers[below(8)])
        case 11: .addMember(key: bytes("z"), Member(field, score: Int64(below(9))))
        case 12: .removeMember(key: bytes("z"), name: field)
        case 13: .setFields(key: bytes("h"), [])
        default: .publish(channel: bytes("c"), key: key, field: field, message: bytes("m"))
        }
    }

    private mutating func key() -> Bytes { Self.keys[below(Self.keys.count)] }

    private mutating func field() -> Bytes { Self.fields[below(Self.fields.count)] }

    /// splitmix64.
    private mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ mixed >> 31) % UInt64(bound))
    }
}
