import KeyValue
import Primitives
import Testing

@Suite struct BatchChecksTests {
    private let key = bytes("k")
    private let field = bytes("f")

    private func checks(
        _ conditions: [Condition] = [], _ mutations: [Mutation]
    ) throws -> [BatchChecks.Check] {
        try BatchChecks(Batch(conditions: conditions, mutations: mutations)).checks
    }

    @Test func `a key is checked once, and not at all when a condition names its kind`() throws {
        let set = Mutation.setFields(key: key, [Pair("f", "1")])
        #expect(try checks([], [set, set]) == [.isHash(key: key)])
        #expect(try checks([.keyAbsent(key)], [set]) == [])
        #expect(try checks([.fieldAbsent(key: key, field: bytes("g"))], [set]) == [])
        #expect(try checks([.keyExists(key)], [set]) == [.isHash(key: key)])
        #expect(try checks([], [.delete(key: key), set]) == [])
    }

    @Test func `a number is checked unless the batch itself says what the field holds`() throws {
        let add = Mutation.increment(key: key, field: field, by: 2)
        let raise = Mutation.raise(key: key, field: field, to: 2)
        #expect(try checks([], [add]) == [.isSummand(key: key, field: field, by: 2)])
        #expect(try checks([], [raise]) == [.isNumber(key: key, field: field)])
        #expect(try checks([.fieldAbsent(key: key, field: field)], [add]) == [])
        #expect(try checks([.keyAbsent(key)], [raise, add]) == [])
        #expect(try checks([], [.delete(key: key), add]) == [])
        #expect(
            try checks([], [.setFields(key: key, [Pair("f", "7")]), add]) == [.isHash(key: key)])
        #expect(
            try checks([], [.deleteFields(key: key, [field]), add]) == [.isHash(key: key)])
    }

    @Test func `a hundred keys are told apart`() throws {
        let mutations = (0..<100).flatMap { number in
            Array(
                repeating: Mutation.setFields(key: bytes("k\(number)"), [Pair("f", "1")]), count: 2)
        }
        #expect(try checks([], mutations) == (0..<100).map { .isHash(key: bytes("k\($0)")) })
    }

    @Test func `a batch of too many mutations is refused`() throws {
        let delete = Mutation.delete(key: key)
        #expect(try checks([], Array(repeating: delete, count: 1_000)) == [])
        #expect(throws: StoreError.self) {
            try checks([], Array(repeating: delete, count: 1_001))
        }
    }
}
