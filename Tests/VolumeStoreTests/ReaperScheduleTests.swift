import Primitives
import Testing

@testable import VolumeStore

@Suite struct ReaperScheduleTests {
    private let start = Deadline(monotonicNanoseconds: 1_000_000_000_000)

    private func at(_ milliseconds: Int) -> Deadline {
        start.advanced(byMilliseconds: milliseconds)
    }

    private func item(_ number: UInt64) -> GarbageItem { .inode(InodeID(number)) }

    @Test func `what is deleted within a moment is reaped together, and wakes the reaper once`() {
        var schedule = ReaperSchedule(nextScan: at(30_000))
        let idle = schedule.next(at: at(0), followingScan: at(60_000))
        #expect(idle == .wait(until: at(30_000)))
        let due = ReaperSchedule.gatherMilliseconds
        let wakes = (1...10).map { number in
            schedule.add([item(UInt64(number))], at: at(number - 1))
        }
        #expect(wakes == [true] + Array(repeating: false, count: 9))
        let gathering = schedule.next(at: at(9), followingScan: at(60_000))
        #expect(gathering == .wait(until: at(due)))
        let reaping = schedule.next(at: at(due), followingScan: at(60_000))
        #expect(reaping == .reap((1...10).map { item(UInt64($0)) }))
        let after = schedule.next(at: at(due), followingScan: at(60_000))
        #expect(after == .wait(until: at(30_000)))
    }

    @Test func `many items do not wait`() {
        var schedule = ReaperSchedule(nextScan: at(30_000))
        let count = ReaperSchedule.gatherItems + 5
        let wakes = (1...count).count { number in
            schedule.add([item(UInt64(number))], at: at(0))
        }
        #expect(wakes == 2)
        let decision = schedule.next(at: at(0), followingScan: at(60_000))
        #expect(decision == .reap((1...count).map { item(UInt64($0)) }))
    }

    @Test func `what does not fit is found by a scan, and scans come when they are due`() {
        var schedule = ReaperSchedule(nextScan: at(30_000))
        let isNews = schedule.add(
            (0...ReaperSchedule.capacity).map { item(UInt64($0)) }, at: at(0))
        #expect(isNews)
        let first = schedule.next(at: at(0), followingScan: at(40_000))
        #expect(first == .scan)
        let second = schedule.next(at: at(1), followingScan: at(40_000))
        #expect(second == .wait(until: at(40_000)))
        schedule.scan(at: at(100))
        schedule.scan(at: at(200))
        let third = schedule.next(at: at(1), followingScan: at(40_000))
        #expect(third == .wait(until: at(100)))
        let fourth = schedule.next(at: at(100), followingScan: at(50_000))
        #expect(fourth == .scan)
        schedule.stop()
        let last = schedule.next(at: at(100), followingScan: at(50_000))
        #expect(last == .stop)
    }
}
