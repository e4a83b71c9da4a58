import Primitives
import Testing

@testable import Cache

private let millisecond: Int64 = 1_000_000

@Suite struct FlushScheduleTests {
    private func candidate(_ owner: UInt64, _ oldest: Int64) -> FlushSchedule.Candidate {
        FlushSchedule.Candidate(owner: InodeID(owner), oldestDirty: oldest)
    }

    @Test func `the oldest comes first, and only when it is old enough`() {
        var schedule = FlushSchedule(ageMilliseconds: 1_000)
        let dirty = [
            candidate(1, 500 * millisecond), candidate(2, 100 * millisecond),
            candidate(3, 900 * millisecond),
        ]
        #expect(
            schedule.next(now: 1_000 * millisecond, isPressed: false) { dirty }
                == .wait(until: 1_100 * millisecond))
        #expect(
            schedule.next(now: 1_100 * millisecond, isPressed: false) { dirty }
                == .flush(InodeID(2)))
        #expect(
            schedule.next(now: 1_500 * millisecond, isPressed: false) { dirty }
                == .flush(InodeID(1)))
    }

    @Test func `under pressure age does not matter`() {
        var schedule = FlushSchedule(ageMilliseconds: 1_000)
        let dirty = [candidate(1, 20), candidate(2, 10)]
        #expect(schedule.next(now: 30, isPressed: true) { dirty } == .flush(InodeID(2)))
        #expect(schedule.next(now: 30, isPressed: true) { dirty } == .flush(InodeID(1)))
    }

    @Test func `an owner is never flushed twice at a time`() {
        var schedule = FlushSchedule(ageMilliseconds: 0)
        let dirty = [candidate(1, 0)]
        #expect(schedule.next(now: 10, isPressed: true) { dirty } == .flush(InodeID(1)))
        guard case .wait = schedule.next(now: 10, isPressed: true, candidates: { dirty }) else {
            Issue.record("the owner is being flushed")
            return
        }
        schedule.finished(InodeID(1), progressed: true, now: 20)
        #expect(schedule.next(now: 20, isPressed: true) { dirty } == .flush(InodeID(1)))
    }

    @Test func `failures are repeated after 100 ms, doubling to 2 s, and a success forgets them`() {
        var schedule = FlushSchedule(ageMilliseconds: 60_000)
        let dirty = [candidate(7, 0)]
        var now: Int64 = 0
        for pause in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            #expect(schedule.next(now: now, isPressed: true) { dirty } == .flush(InodeID(7)))
            schedule.finished(InodeID(7), progressed: false, now: now)
            let until = now + Int64(pause) * millisecond
            #expect(
                schedule.next(now: until - 1, isPressed: true) { dirty } == .wait(until: until))
            now = until
        }
        #expect(schedule.next(now: now, isPressed: true) { dirty } == .flush(InodeID(7)))
        schedule.finished(InodeID(7), progressed: true, now: now)
        #expect(schedule.next(now: now, isPressed: true) { dirty } == .flush(InodeID(7)))
        schedule.finished(InodeID(7), progressed: false, now: now)
        #expect(
            schedule.next(now: now, isPressed: true) { dirty }
                == .wait(until: now + 100 * millisecond))
    }

    @Test func `a failing owner does not keep others waiting`() {
        var schedule = FlushSchedule(ageMilliseconds: 0)
        let dirty = [candidate(1, 0), candidate(2, 5)]
        #expect(schedule.next(now: 10, isPressed: false) { dirty } == .flush(InodeID(1)))
        schedule.finished(InodeID(1), progressed: false, now: 10)
        #expect(schedule.next(now: 10, isPressed: false) { dirty } == .flush(InodeID(2)))
    }

    @Test func `with nothing dirty it looks again after half of the age`() {
        var schedule = FlushSchedule(ageMilliseconds: 5_000)
        #expect(
            schedule.next(now: 0, isPressed: false) { [] } == .wait(until: 2_500 * millisecond))
        var eager = FlushSchedule(ageMilliseconds: 0)
        #expect(eager.next(now: 0, isPressed: false) { [] } == .wait(until: 10 * millisecond))
    }
}

@Suite struct DirtyPressureTests {
    private let pressure = DirtyPressure(
        settings: CacheSettings(
            blockSize: BlockSize.standard, capacityBytes: BlockSize.standard.bytes * 1_000,
            dirtyLimitBytes: 1_000_000))

    private func slowing(_ bytes: Int, blocks: Int = 0, incoming: Int) -> DirtyPressure.Slowing {
        pressure.slowing(dirtyBytes: bytes, dirtyBlocks: blocks, incoming: incoming)
    }

    @Test func `below 60 % a writer passes, above it waits longer and longer, at 100 % for room`() {
        #expect(slowing(500_000, incoming: 100_000) == .pass)
        var previous: Int64 = -1
        for dirty in stride(from: 610_000, to: 890_000, by: 20_000) {
            guard case .delay(let nanoseconds) = slowing(dirty, incoming: 100_000) else {
                Issue.record("\(dirty) is slowed")
                continue
            }
            #expect(nanoseconds > previous)
            #expect(nanoseconds <= 1_000_000, "at most 10 ms for each MiB")
            previous = nanoseconds
        }
        #expect(slowing(900_000, incoming: 100_000) == .waitForRoom)
    }

    @Test func `a write larger than the limit passes when nothing is dirty`() {
        #expect(slowing(0, incoming: 5_000_000) == .pass)
        #expect(slowing(1, incoming: 5_000_000) == .waitForRoom)
    }

    @Test func `many blocks with few dirty bytes are pressure, too`() {
        // 750 of 1,000 blocks may be dirty.
        #expect(slowing(749, blocks: 400, incoming: 1) == .pass)
        guard case .delay = slowing(749, blocks: 600, incoming: 1) else {
            Issue.record("600 of 750 blocks are dirty")
            return
        }
        #expect(slowing(749, blocks: 749, incoming: 1) == .waitForRoom)
        #expect(pressure.isPressed(dirtyBytes: 375, dirtyBlocks: 375))
        #expect(!pressure.isPressed(dirtyBytes: 374, dirtyBlocks: 374))
    }
}
