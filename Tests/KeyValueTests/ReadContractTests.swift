import KeyValue
import Primitives
import TestSupport
import Testing

@Suite struct ReadContractTests {
    @Test(arguments: StoreKind.allCases)
    func `a list of reads is answered in order and in one round trip`(kind: StoreKind) throws {
        let store = try kind.make()
        try store.commit(
            [], .set(key: bytes("s"), value: bytes("value")),
            .setFields(key: bytes("h"), [Pair("a", "1"), Pair("b", "2")]),
            .addMember(key: bytes("z"), Member(bytes("m"), score: 5)))
        let before = store.store.roundTrips
        let answers = try store.store.read([
            .value(key: bytes("s")), .value(key: bytes("none")),
            .fields(key: bytes("h"), [bytes("b"), bytes("c"), bytes("a"), bytes("b")]),
            .fields(key: bytes("none"), [bytes("b")]), .fields(key: bytes("h"), []),
            .fieldCount(key: bytes("h")), .fieldCount(key: bytes("none")),
            .allFields(key: bytes("none")),
            .existence(keys: [bytes("z"), bytes("none"), bytes("s")]),
            .existence(keys: []), .members(key: bytes("z"), upTo: 5, limit: 1),
            .members(key: bytes("z"), upTo: 5, limit: 0),
            .page(key: bytes("none"), cursor: 0, limit: 9),
        ])
        #expect(store.store.roundTrips == before + 1)
        #expect(
            answers == [
                .value(bytes("value")), .value(nil),
                .values([bytes("2"), nil, bytes("1"), bytes("2")]), .values([nil]), .values([]),
                .count(2), .count(0), .pairs([]), .existing([true, false, true]), .existing([]),
                .members([Member(bytes("m"), score: 5)]), .members([]), .page(next: 0, []),
            ])
        #expect(try store.store.read([]) == [])
        #expect(store.store.roundTrips == before + 1)
    }

    @Test(arguments: StoreKind.allCases)
    func `reading a key of another kind is an error`(kind: StoreKind) throws {
        let store = try kind.make()
        try store.commit(
            [], .set(key: bytes("s"), value: bytes("value")),
            .setFields(key: bytes("h"), [Pair("a", "1")]))
        for read: Read in [
            .value(key: bytes("h")), .fields(key: bytes("s"), [bytes("a")]),
            .allFields(key: bytes("s")), .fieldCount(key: bytes("s")),
            .page(key: bytes("s"), cursor: 0, limit: 10),
            .follow(key: bytes("s"), field: bytes("a"), prefix: bytes("i")),
            .followPage(key: bytes("s"), cursor: 0, limit: 10, prefix: bytes("i")),
            .members(key: bytes("h"), upTo: 1, limit: 1),
        ] {
            expectThrows(.wrongKind) { try store.store.read([.time, read, .time]) }
        }
        #expect(try store.value(bytes("s")) == bytes("value"))
    }

    @Test(arguments: StoreKind.allCases)
    func `a walk over keys delivers those with the prefix, whatever they hold`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        try store.commit(
            [], .setFields(key: bytes("{a}h"), [Pair("a", "1")]),
            .addMember(key: bytes("{a}z"), Member(bytes("m"), score: 5)),
            .set(key: bytes("{b}s"), value: bytes("1")), .set(key: bytes("a"), value: bytes("1")),
            .set(key: bytes("[x]*?\\y"), value: bytes("1")),
            .set(key: bytes("xy"), value: bytes("")))
        for number in 0..<300 {
            try store.commit([], .set(key: bytes("{a}\(number)"), value: bytes("1")))
        }
        func walk(_ prefix: String) throws -> Set<Bytes> {
            var found: Set<Bytes> = []
            var cursor: UInt64 = 0
            repeat {
                let read = Read.keys(prefix: bytes(prefix), cursor: cursor, limit: 10)
                guard case .keys(let next, let keys) = try store.store.read([read])[0] else {
                    Issue.record("an answer about keys")
                    return []
                }
                found.formUnion(keys)
                cursor = next
            } while cursor != 0
            return found
        }
        let own = Set((0..<300).map { bytes("{a}\($0)") })
        #expect(try walk("{a}") == own.union([bytes("{a}h"), bytes("{a}z")]))
        #expect(try walk("[x]*?\\") == [bytes("[x]*?\\y")])
        #expect(try walk("{c}") == [])
        #expect(try walk("").count == own.count + 6)
    }

    @Test(arguments: StoreKind.allCases)
    func `follow reads a field and the hash that it names`(kind: StoreKind) throws {
        let store = try kind.make()
        let directory = bytes("d1")
        try store.commit(
            [],
            .setFields(
                key: directory,
                [
                    Pair("file", "17:8"), Pair("gone", "18:8"), Pair("digits", "17"),
                    Pair("odd", "x17"),
                ]),
            .setFields(key: bytes("i17"), [Pair("size", "5")]),
            .setFields(key: bytes("i"), [Pair("size", "0")]))
        let before = store.store.roundTrips
        let answers = try store.store.read(
            ["file", "gone", "digits", "odd", "none"].map {
                .follow(key: directory, field: bytes($0), prefix: bytes("i"))
            } + [.follow(key: bytes("none"), field: bytes("file"), prefix: bytes("i"))])
        #expect(
            answers == [
                .followed(value: bytes("17:8"), target: [Pair("size", "5")]),
                .followed(value: bytes("18:8"), target: []),
                .followed(value: bytes("17"), target: [Pair("size", "5")]),
                .followed(value: bytes("x17"), target: [Pair("size", "0")]),
                .followed(value: nil, target: []), .followed(value: nil, target: []),
            ])
        #expect(store.store.roundTrips == before + 1)
    }

    @Test(arguments: StoreKind.allCases)
    func `hashes reads all fields of several hashes, between other reads`(kind: StoreKind) throws {
        let store = try kind.make()
        let large = Bytes(repeating: UInt8(ascii: "x"), count: 200_000)
        _ = try store.store.commit(
            Batch(mutations: [
                .setFields(key: bytes("a"), [Pair("f", "1"), Pair("", ""), Pair("g", "22")]),
                .setFields(key: bytes("b"), [Pair(bytes("large"), large)]),
                .set(key: bytes("s"), value: bytes("value")),
            ]))
        let before = store.store.roundTrips
        let answers = try store.store.read([
            .value(key: bytes("s")), .hashes(keys: [bytes("a"), bytes("none"), bytes("b")]),
            .fieldCount(key: bytes("a")), .hashes(keys: []), .hashes(keys: [bytes("a")]),
        ])
        #expect(store.store.roundTrips == before + 1)
        #expect(answers[0] == .value(bytes("value")))
        #expect(answers[2] == .count(3))
        guard case .hashes(let list) = answers[1], case .hashes(let empty) = answers[3],
            case .hashes(let single) = answers[4]
        else {
            Issue.record("unexpected answers")
            return
        }
        #expect(list.count == 3 && empty.count == 0 && single.count == 1)
        let expected: Set = [Pair("f", "1"), Pair("", ""), Pair("g", "22")]
        #expect(Set(list.pairs(at: 0)) == expected && Set(single.pairs(at: 0)) == expected)
        #expect(list.isEmpty(at: 1) && list.pairs(at: 1).isEmpty)
        #expect(list.pairs(at: 2) == [Pair(bytes("large"), large)])
        #expect(throws: StoreError.wrongKind) {
            try store.store.read([.hashes(keys: [bytes("a"), bytes("s")])])
        }
        // The error was one reply: those behind it are where they belong.
        #expect(try store.store.read([.value(key: bytes("s"))]) == [.value(bytes("value"))])
    }

    @Test(arguments: StoreKind.allCases)
    func `a page that is larger than asked for is not followed`(kind: StoreKind) throws {
        let store = try kind.make()
        _ = try store.store.commit(
            Batch(mutations: [
                .setFields(key: bytes("i1"), [Pair("n", "1")]),
                .setFields(key: bytes("d"), [Pair("x", "1:f"), Pair("y", "1:f")]),
            ]))
        for (maximum, isFollowed) in [(2, true), (1, false)] {
            let answers = try store.store.read([
                .followPage(
                    key: bytes("d"), cursor: 0, limit: 10, prefix: bytes("i"), atMost: maximum)
            ])
            guard case .followedPage(let next, let pairs, let targets) = answers[0] else {
                Issue.record("an unexpected answer")
                return
            }
            #expect(next == 0 && pairs.count == 2)
            #expect((targets != nil) == isFollowed)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `followPage reads a page and the hashes that its values name`(kind: StoreKind) throws {
        let store = try kind.make()
        for start in stride(from: 0, to: 1_000, by: 200) {
            let mutations = (start..<start + 200).map { number in
                Mutation.setFields(key: bytes("i\(number)"), [Pair("n", "\(number)")])
            }
            let entries = (start..<start + 200).map {
                Pair("name \($0)", "\($0 + $0 % 2 * 5_000):8")
            }
            _ = try store.store.commit(
                Batch(mutations: mutations + [.setFields(key: bytes("d"), entries)]))
        }
        var cursor: UInt64 = 0
        var found: [Bytes: [Pair]] = [:]
        var pages = 0
        repeat {
            let before = store.store.roundTrips
            let answer = try store.store.read([
                .followPage(key: bytes("d"), cursor: cursor, limit: 100, prefix: bytes("i"))
            ])
            #expect(store.store.roundTrips == before + 1)
            guard case .followedPage(let next, let pairs, let targets?)? = answer.first else {
                break
            }
            #expect(pairs.count == targets.count)
            for (pair, target) in zip(pairs, targets) { found[pair.field] = target }
            cursor = next
            pages += 1
        } while cursor != 0 && pages < 100
        #expect((5...20).contains(pages))
        #expect(found.count == 1_000)
        for number in 0..<1_000 {
            let expected = number.isMultiple(of: 2) ? [Pair("n", "\(number)")] : []
            #expect(found[bytes("name \(number)")] == expected)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a walk by pages delivers every field that stays, while others come and go`(
        kind: StoreKind
    ) throws {
        let store = try kind.make()
        let key = bytes("d")
        for start in stride(from: 0, to: 100_000, by: 5_000) {
            try store.commit(
                [],
                .setFields(key: key, (start..<start + 5_000).map { Pair("stays \($0)", "\($0)") }),
                .setFields(key: key, (start..<start + 500).map { Pair("goes \($0)", "\($0)") }))
        }
        let shared = store.store
        let changer = TestThread(name: "changer") {
            for round in 0..<200 {
                _ = try? shared.commit(
                    Batch(mutations: [
                        .setFields(key: key, (0..<50).map { Pair("comes \(round) \($0)", "x") }),
                        .deleteFields(
                            key: key, (0..<500).map { bytes("goes \(round * 500 + $0)") }),
                    ]))
            }
        }
        defer { changer.join() }
        var seen = Set<Bytes>()
        var cursor: UInt64 = 0
        var pages = 0
        repeat {
            guard
                case .page(let next, let pairs)? = try store.store.read([
                    .page(key: key, cursor: cursor, limit: 1_000)
                ]).first
            else { break }
            #expect(!pairs.isEmpty || next == 0)
            for pair in pairs { seen.insert(pair.field) }
            cursor = next
            pages += 1
        } while cursor != 0 && pages < 1_000
        #expect(pages >= 50)
        #expect((0..<100_000).allSatisfy { seen.contains(bytes("stays \($0)")) })
    }

    @Test(arguments: StoreKind.allCases)
    func `a page of a hash that has shrunk is not empty before the end`(kind: StoreKind) throws {
        let store = try kind.make()
        let key = bytes("d")
        try store.commit([], .setFields(key: key, (0..<20_000).map { Pair("f\($0)", "\($0)") }))
        try store.commit(
            [], .deleteFields(key: key, (0..<20_000).filter { $0 % 7 != 0 }.map { bytes("f\($0)") })
        )
        for prefix in [nil, bytes("i")] {
            var seen = Set<Bytes>()
            var cursor: UInt64 = 0
            var pages = 0
            repeat {
                let read: Read =
                    if let prefix {
                        .followPage(key: key, cursor: cursor, limit: 1, prefix: prefix)
                    } else {
                        .page(key: key, cursor: cursor, limit: 1)
                    }
                let pairs: [Pair]
                switch try store.store.read([read]).first {
                case .page(let next, let found)?: (cursor, pairs) = (next, found)
                case .followedPage(let next, let found, _)?: (cursor, pairs) = (next, found)
                default:
                    Issue.record("another kind of answer")
                    return
                }
                if pairs.isEmpty { #expect(cursor == 0) }
                for pair in pairs { seen.insert(pair.field) }
                pages += 1
            } while cursor != 0 && pages < 30_000
            #expect(seen.count == 20_000 / 7 + 1)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a store that was closed says so`(kind: StoreKind) throws {
        let store = try kind.make()
        store.store.close()
        expectThrows(.closed) { try store.store.read([.time]) }
        expectThrows(.closed) { try store.commit([], .delete(key: bytes("k"))) }
        expectThrows(.closed) { try store.store.drop([bytes("k")]) }
        expectThrows(.closed) { try store.store.status() }
        expectThrows(.closed) { try store.store.subscribe(to: bytes("c")) { _ in } }
    }
}
