import Testing

@testable import KeyValue

@Suite struct MemoryReserveTests {
    private let second: Int64 = 1_000_000_000
    private let mebibyte = 1 << 20

    /// A reserve of a store of 320 MiB (10 of them reserved) that was seen to use `used` at instant 0.
    private func reserve(used: Int) -> MemoryReserve {
        var reserve = MemoryReserve()
        guard case .admittedWithLook(let look) = reserve.admit(0, now: 0) else {
            Issue.record("the first blocks ask")
            return reserve
        }
        reserve.looked(look, used: UInt64(used), limit: UInt64(320 * mebibyte), now: 0)
        return reserve
    }

    @Test(
        arguments: [
            (0, 0), (31, 0), (32, 1), (3 << 20, 98_304), (2 << 30, 64 << 20), (1 << 40, 64 << 20),
        ] as [(UInt64, UInt64)])
    func `the reserve is a thirty-second of the limit, 64 MiB at most`(limit: UInt64, bytes: UInt64)
    {
        #expect(MemoryReserve.bytes(ofLimit: limit) == bytes)
    }

    @Test func `with plenty of room the store is asked each 100 ms, not more often`() {
        var reserve = reserve(used: 0)
        let soon = reserve.admit(mebibyte, now: 1)
        #expect(soon == .admitted)
        let justBefore = reserve.admit(mebibyte, now: second / 10 - 1)
        #expect(justBefore == .admitted)
        guard case .admittedWithLook = reserve.admit(mebibyte, now: second / 10) else {
            Issue.record("no look after 100 ms")
            return
        }
        // Its answer is awaited.
        let meanwhile = reserve.admit(mebibyte, now: second / 10 + 1)
        #expect(meanwhile == .admitted)
    }

    @Test func `with little room each store asks`() {
        var reserve = reserve(used: 280 * mebibyte)
        for now in 1...3 as ClosedRange<Int64> {
            guard case .admittedWithLook = reserve.admit(mebibyte, now: now) else {
                Issue.record("no look")
                return
            }
        }
    }

    @Test func `what was let in since a look counts, until a look includes it`() {
        var reserve = reserve(used: 300 * mebibyte)
        guard case .admittedWithLook(let look) = reserve.admit(10 * mebibyte, now: 1) else {
            Issue.record("there is room for exactly that")
            return
        }
        guard case .unknown = reserve.admit(1, now: 2) else {
            Issue.record("there is no room for one byte more")
            return
        }
        reserve.finish(10 * mebibyte)
        // It was compressed.
        reserve.looked(look, used: UInt64(302 * mebibyte), limit: UInt64(320 * mebibyte), now: 3)
        guard case .admittedWithLook = reserve.admit(8 * mebibyte, now: 4) else {
            Issue.record("the look is not believed")
            return
        }
    }

    @Test func `what is still on its way counts beside a look`() {
        var reserve = reserve(used: 300 * mebibyte)
        let first = reserve.admit(8 * mebibyte, now: 1)
        #expect(first != .admitted)
        guard case .unknown(let look) = reserve.admit(3 * mebibyte, now: 2) else {
            Issue.record("it seems to fit")
            return
        }
        reserve.looked(look, used: UInt64(300 * mebibyte), limit: UInt64(320 * mebibyte), now: 3)
        let fitsMore = reserve.judge(3 * mebibyte)
        #expect(!fitsMore)
        let fits = reserve.judge(2 * mebibyte)
        #expect(fits)
    }

    @Test func `an answer that was overtaken by a later one is not believed`() {
        var reserve = reserve(used: 280 * mebibyte)
        guard case .admittedWithLook(let first) = reserve.admit(mebibyte, now: 1),
            case .admittedWithLook(let second) = reserve.admit(mebibyte, now: 2)
        else {
            Issue.record("no looks")
            return
        }
        reserve.finish(mebibyte)
        reserve.finish(mebibyte)
        guard case .admittedWithLook(let third) = reserve.admit(mebibyte, now: 3) else {
            Issue.record("no look")
            return
        }
        reserve.looked(third, used: UInt64(310 * mebibyte), limit: UInt64(320 * mebibyte), now: 4)
        reserve.looked(first, used: 0, limit: UInt64(320 * mebibyte), now: 5)
        reserve.looked(second, used: 0, limit: UInt64(320 * mebibyte), now: 6)
        let fitsAfterOvertaken = reserve.judge(1)
        #expect(!fitsAfterOvertaken)
    }

    @Test func `without a limit, and after answers that make no sense, nothing overflows`() {
        var reserve = MemoryReserve()
        let fitsAtFirst = reserve.judge(Int.max)
        #expect(fitsAtFirst)
        guard case .admittedWithLook(let look) = reserve.admit(0, now: 0) else {
            Issue.record("the first blocks ask")
            return
        }
        reserve.looked(look, used: .max, limit: 1, now: 1)
        let fitsBeyondLimit = reserve.judge(1)
        #expect(!fitsBeyondLimit)
        reserve.looked(look, used: .max, limit: .max, now: 2)
        let fitsHugeUse = reserve.judge(1)
        #expect(!fitsHugeUse)
        reserve.looked(look, used: 0, limit: .max, now: 3)
        let fitsHugeLimit = reserve.judge(1)
        #expect(fitsHugeLimit)
        reserve.looked(look, used: .max, limit: 0, now: 4)
        let fitsWithoutLimit = reserve.judge(Int.max)
        #expect(fitsWithoutLimit)
    }
}
