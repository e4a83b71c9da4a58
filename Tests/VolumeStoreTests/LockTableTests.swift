import FileSystem
import Primitives
import Testing

@testable import VolumeStore

@Suite struct LockTableTests {
    private func owner(
        _ number: UInt64, session: UInt64 = 1, _ family: LockFamily = .record
    ) -> LockOwner {
        LockOwner(session: SessionID(session), family: family, number: number)
    }

    private func lock(
        _ number: UInt64, _ range: ClosedRange<UInt64>, _ mode: LockMode = .exclusive,
        session: UInt64 = 1, _ family: LockFamily = .record
    ) -> LockTable.Held {
        LockTable.Held(
            owner: owner(number, session: session, family), mode: mode, range: range, processID: 7)
    }

    @Test func `locks exclude other owners where they overlap, unless both are shared`() {
        var table = LockTable()
        table.take(lock(1, 10...19, .shared))
        #expect(table.holder(against: lock(2, 19...30, .shared)) == nil)
        #expect(table.holder(against: lock(2, 19...30))?.owner == owner(1))
        #expect(table.holder(against: lock(2, 20...30)) == nil)
        #expect(table.holder(against: lock(1, 0...99)) == nil, "an owner does not exclude itself")
        #expect(table.holder(against: lock(1, 10...19, session: 2)) != nil)
        #expect(
            table.holder(against: lock(2, 10...19, session: 1, .wholeFile)) == nil,
            "flock knows nothing of fcntl")
    }

    @Test func `a lock replaces what its owner holds there, and joins what it holds beside it`() {
        var table = LockTable()
        table.take(lock(1, 0...99))
        table.take(lock(1, 40...59, .shared))
        #expect(
            Set(table.held) == [lock(1, 0...39), lock(1, 40...59, .shared), lock(1, 60...99)])
        table.take(lock(1, 40...59))
        #expect(table.held == [lock(1, 0...99)])
        table.take(lock(1, 100...FileLock.lastByte))
        #expect(table.held == [lock(1, 0...FileLock.lastByte)])
    }

    @Test(arguments: [
        (UInt64(0)...9, [UInt64(10)...99]), (90...99, [0...89]), (40...59, [0...39, 60...99]),
        (0...99, []), (100...200, [0...99]),
    ])
    func `an unlock leaves what lies around it`(
        _ range: ClosedRange<UInt64>, _ rest: [ClosedRange<UInt64>]
    ) {
        var table = LockTable()
        table.take(lock(1, 0...99))
        table.take(lock(2, 0...99, .shared, .wholeFile))
        table.remove(owner(1), range)
        #expect(table.held.filter { $0.owner == owner(1) }.map(\.range) == rest)
        #expect(table.held.contains { $0.owner.family == .wholeFile })
    }

    @Test func `requests are served in order of arrival, and those behind that fit as well`() {
        var table = LockTable()
        table.take(lock(1, 0...9))
        table.waiting = [
            .init(lock: lock(2, 0...9), ticket: 1), .init(lock: lock(3, 0...4), ticket: 2),
            .init(lock: lock(4, 20...29), ticket: 3),
        ]
        #expect(table.grant().map(\.ticket) == [3])
        table.remove(owner(1), 0...9)
        #expect(table.grant().map(\.ticket) == [1])
        table.remove(owner(2), 0...9)
        #expect(table.grant().map(\.ticket) == [2])
        #expect(table.waiting.isEmpty)
    }

    @Test func `what is stored is read back`() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var table = LockTable()
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let first = UInt64.random(in: 0...FileLock.lastByte, using: &random)
                let held = LockTable.Held(
                    owner: LockOwner(
                        session: SessionID(.random(in: 1...1 << 53, using: &random)),
                        family: LockFamily.allCases.randomElement(using: &random) ?? .record,
                        number: .random(in: 0 ... .max, using: &random)),
                    mode: LockMode.allCases.randomElement(using: &random) ?? .shared,
                    range: first...(.random(in: first...FileLock.lastByte, using: &random)),
                    processID: .random(in: 0 ... .max, using: &random))
                if Bool.random(using: &random) {
                    table.held.append(held)
                } else {
                    table.waiting.append(.init(lock: held, ticket: .random(in: 1...1 << 53)))
                }
            }
            let stored = table.stored
            #expect(try LockTable(parsing: stored) == table)
            guard stored.count > 1 else { continue }
            #expect(throws: FormatError.self) {
                try LockTable(parsing: Array(stored.dropLast()))
            }
        }
    }

    @Test(arguments: [[], [2], [1, 8], [1, 0, 1]] as [[UInt8]])
    func `what cannot be right is not believed`(_ value: [UInt8]) {
        #expect(throws: FormatError.self) { try LockTable(parsing: value) }
    }
}
