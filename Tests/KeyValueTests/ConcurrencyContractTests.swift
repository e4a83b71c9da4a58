import KeyValue
import Primitives
import TestSupport
import Testing

@Suite struct ConcurrencyContractTests {
    private static let threads = 8

    /// Runs `body` on eight threads at once and records what it throws.
    private func together(_ body: @escaping @Sendable (Int) throws -> Void) {
        let failures = Locked<[String]>([])
        let workers = (0..<Self.threads).map { number in
            TestThread(name: "caller \(number)") {
                do { try body(number) } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for worker in workers { worker.join() }
        #expect(failures.withLock { $0 } == [])
    }

    @Test(arguments: StoreKind.allCases)
    func `increments by eight callers all count`(kind: StoreKind) throws {
        let fixture = try kind.make()
        let store = fixture.store
        _ = try fixture.commit([], .setFields(key: bytes("session"), [Pair("a", "b")]))
        together { caller in
            for sequence in 1...150 {
                _ = try store.commit(
                    Batch(
                        id: BatchID(
                            session: bytes("session"), slot: caller, sequence: UInt64(sequence)),
                        mutations: [
                            .increment(key: bytes("h"), field: bytes("n"), by: 1),
                            .increment(key: bytes("h\(caller)"), field: bytes("n"), by: 2),
                        ]))
            }
        }
        #expect(try fixture.hash(bytes("h")) == [bytes("n"): bytes("1200")])
        #expect(try fixture.hash(bytes("h3")) == [bytes("n"): bytes("300")])
    }

    @Test(arguments: StoreKind.allCases)
    func `of eight callers who create one name, one wins`(kind: StoreKind) throws {
        let fixture = try kind.make()
        let store = fixture.store
        let winners = Locked([Int](repeating: 0, count: 100))
        together { caller in
            for round in 0..<100 {
                let outcome = try store.commit(
                    Batch(
                        conditions: [.fieldAbsent(key: bytes("d"), field: bytes("\(round)"))],
                        mutations: [.setFields(key: bytes("d"), [Pair("\(round)", "\(caller)")])]))
                if outcome == .committed(sums: []) { winners.withLock { $0[round] += 1 } }
            }
        }
        #expect(winners.withLock { $0 } == [Int](repeating: 1, count: 100))
    }

    @Test(arguments: StoreKind.allCases)
    func `each caller gets the answers to its own calls`(kind: StoreKind) throws {
        let fixture = try kind.make()
        let store = fixture.store
        together { caller in
            for round in 0..<24 {
                let key = bytes("key \(caller) \(round % 7)")
                let size = [10, 700, 20_000, 126_976][round % 4]
                let payload = Bytes(
                    repeating: UInt8(truncatingIfNeeded: caller * 31 + round), count: size)
                let header = InlineBlockHeader(low: UInt64(caller), high: UInt64(round))
                let outcome = try payload.withUnsafeBytes { payload in
                    try store.store(
                        [BlockWrite(key: key, kind: .replace(header: header), payload: payload)],
                        then: Batch(mutations: [
                            .setFields(
                                key: bytes("h\(caller)"), [Pair("round", "\(round)")])
                        ]))
                }
                guard outcome.batch == .committed(sums: []) else {
                    throw StoreError.protocolViolation("no batch")
                }
                var memory = Bytes(repeating: 0, count: 126_976)
                let answers = try memory.withUnsafeMutableBytes { buffer in
                    try store.load([BlockLoad(key: key, destination: buffer)])
                }
                guard answers == [.loaded(header: header, payloadBytes: size)],
                    memory[..<size] == payload[...]
                else { throw StoreError.protocolViolation("another block") }
                let read = try store.read([
                    .fields(key: bytes("h\(caller)"), [bytes("round")]), .time,
                ])
                guard read.first == .values([bytes("\(round)")]) else {
                    throw StoreError.protocolViolation("another answer")
                }
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a dependent read never sees half of a batch`(kind: StoreKind) throws {
        let fixture = try kind.make()
        let store = fixture.store
        @Sendable func point(_ target: Int) -> Batch {
            Batch(mutations: [
                .setFields(key: bytes("d"), [Pair("name", "\(target):8")]),
                .delete(key: bytes("i\(target - 1)")),
                .setFields(key: bytes("i\(target)"), [Pair("n", "\(target)")]),
            ])
        }
        _ = try store.commit(point(1))
        together { caller in
            if caller == 0 {
                for target in 2...400 { _ = try store.commit(point(target)) }
                return
            }
            for _ in 0..<150 {
                let answers = try store.read([
                    .follow(key: bytes("d"), field: bytes("name"), prefix: bytes("i")),
                    .followPage(key: bytes("d"), cursor: 0, limit: 9, prefix: bytes("i")),
                ])
                guard case .followed(let value?, let target) = answers[0],
                    case .followedPage(_, let pairs, let targets?) = answers[1],
                    value == target.first.map({ $0.value + bytes(":8") }),
                    pairs.map(\.value) == targets.map({ $0.flatMap { $0.value + bytes(":8") } })
                else { throw StoreError.protocolViolation("half: \(answers)") }
            }
        }
    }
}
