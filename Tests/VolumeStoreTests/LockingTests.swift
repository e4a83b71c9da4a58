import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import VolumeStore

/// Locks among several mounts of one volume.
@Suite struct LockingTests {
    /// What a request was answered, once it was.
    private final class Answer: Sendable {
        private let state = Locked<[Errno?]>([])
        var all: [Errno?] { state.withLock { $0 } }
        func take(_ errno: Errno?) { state.withLock { $0.append(errno) } }
    }

    private func lock(
        _ owner: UInt64, _ range: ClosedRange<UInt64> = 0...9, _ mode: LockMode = .exclusive,
        _ family: LockFamily = .record
    ) -> FileLock {
        FileLock(family: family, owner: owner, mode: mode, range: range, processID: 7)
    }

    private let file = InodeID(5)

    private func take(
        _ mount: VolumeStore, _ lock: FileLock, of inode: InodeID = InodeID(5)
    ) throws(Errno) {
        let start = try mount.setLock(of: inode, lock, waits: false) { _ in }
        #expect(start.start == .taken)
    }

    private func drop(
        _ mount: VolumeStore, _ lock: FileLock, of inode: InodeID = InodeID(5)
    ) throws(Errno) {
        try mount.unlock(inode, family: lock.family, owner: lock.owner, range: lock.range)
    }

    /// A request that has to wait.
    private func wait(
        _ mount: VolumeStore, _ lock: FileLock, of inode: InodeID = InodeID(5)
    ) throws -> (Answer, LockTicket) {
        let answer = Answer()
        let start = try mount.setLock(of: inode, lock, waits: true) { answer.take($0) }
        guard case .later(let ticket) = start.start else {
            Issue.record("the lock was free")
            return (answer, LockTicket(0))
        }
        return (answer, ticket)
    }

    /// What the joining of another mount has started comes to its end.
    private func awaitQuiet(_ volume: TestVolume) {
        let never = Monitor(false)
        var before: UInt64 = 0
        eventually("quiet") {
            defer { before = volume.store.roundTrips }
            let _: Bool? = never.wait(until: .after(milliseconds: 100)) { $0 ? true : nil }
            return before == volume.store.roundTrips
        }
    }

    private func lockKeys(_ volume: TestVolume) throws -> Set<String> {
        let store = try #require(volume.store as? FaultyStore)
        return try store.allKeys().filter { key in
            ["{test}l", "{test}h", "{test}w"].contains { key.hasPrefix($0) }
        }
    }

    @Test func `alone, locks cost no trip and are nowhere but in memory`() throws {
        let volume = try TestVolume()
        let trips = try volume.trips {
            try take(volume.mount, lock(1))
            #expect(throws: Errno.tryAgain) { try take(volume.mount, lock(2)) }
            #expect(try volume.mount.lockHolder(of: file, against: lock(2))?.owner == 1)
            let (answer, _) = try wait(volume.mount, lock(2))
            try drop(volume.mount, lock(1))
            #expect(answer.all == [nil])
            try drop(volume.mount, lock(2))
        }
        #expect(trips == 0)
        #expect(try lockKeys(volume).isEmpty)
    }

    @Test func `together, a lock and an unlock cost one trip each and leave nothing`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        awaitQuiet(volume)
        #expect(try volume.trips { try take(second, lock(1)) } == 1)
        #expect(try lockKeys(volume).count == 2)
        #expect(try volume.trips { try drop(second, lock(1)) } == 1)
        #expect(try lockKeys(volume).isEmpty)
        #expect(try volume.trips { try drop(second, lock(1)) } == 0)
    }

    @Test(arguments: LockFamily.allCases)
    func `a lock of one mount excludes the other, which can see who holds it`(
        _ family: LockFamily
    ) throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        try take(volume.mount, lock(1, 0...9, .exclusive, family))
        #expect(throws: Errno.tryAgain) {
            try take(second, lock(1, 9...20, .shared, family))
        }
        let found = try second.lockHolder(of: file, against: lock(1, 9...20, .shared, family))
        #expect(found?.range == 0...9)
        #expect(found?.mode == .exclusive)
        #expect(found?.processID == 7)
        try drop(volume.mount, lock(1, 0...9, .exclusive, family))
        try take(second, lock(1, 9...20, .shared, family))
        #expect(second.heldLockCount == 1)
        #expect(volume.mount.heldLockCount == 0)
    }

    @Test func `what a mount locked while it was alone excludes one that joins`() throws {
        let volume = try TestVolume()
        try take(volume.mount, lock(1))
        let (answer, _) = try wait(volume.mount, lock(2))
        let second = try volume.second()
        defer { second.close() }
        #expect(throws: Errno.tryAgain) { try take(second, lock(1)) }
        try drop(volume.mount, lock(1))
        #expect(answer.all == [nil])
        #expect(throws: Errno.tryAgain) { try take(second, lock(1)) }
        let (other, _) = try wait(second, lock(1))
        try drop(volume.mount, lock(2))
        eventually("handed over") { other.all == [nil] }
    }

    @Test func `waiting requests of several mounts are served in order of arrival`() throws {
        let volume = try TestVolume()
        let mounts = try [volume.mount, volume.second(), volume.second()]
        defer { for mount in mounts.dropFirst() { mount.close() } }
        try take(mounts[0], lock(1))
        var answers: [Answer] = []
        let order = [1, 2, 0, 2, 1, 0]
        for (number, mount) in order.enumerated() {
            answers.append(try wait(mounts[mount], lock(UInt64(10 + number))).0)
        }
        try drop(mounts[0], lock(1))
        for (number, mount) in order.enumerated() {
            eventually("request \(number) is served") { answers[number].all == [nil] }
            #expect(answers[(number + 1)...].allSatisfy { $0.all.isEmpty })
            try drop(mounts[mount], lock(UInt64(10 + number)))
        }
        #expect(try lockKeys(volume).isEmpty)
    }

    @Test func `a waiting request costs the store nothing`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        try take(volume.mount, lock(1))
        let (answer, ticket) = try wait(second, lock(1))
        awaitQuiet(volume)
        let never = Monitor(false)
        let before = volume.store.roundTrips
        // As long as anything could poll: the keeper's next round is ten seconds away.
        let _: Bool? = never.wait(until: .after(milliseconds: 500)) { $0 ? true : nil }
        #expect(volume.store.roundTrips == before)
        second.cancelLock(ticket)
        #expect(answer.all == [.interrupted])
        try drop(volume.mount, lock(1))
        #expect(try lockKeys(volume).isEmpty)
    }

    @Test func `a request that was interrupted is out of the line`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        try take(volume.mount, lock(1))
        let (first, ticket) = try wait(second, lock(1))
        let (next, _) = try wait(second, lock(2))
        second.cancelLock(ticket)
        #expect(first.all == [.interrupted])
        second.cancelLock(ticket)
        #expect(first.all == [.interrupted], "and answered once")
        try drop(volume.mount, lock(1))
        eventually("the one behind is served") { next.all == [nil] }
    }

    @Test(arguments: [false, true])
    func `a circle of owners that wait for each other is a deadlock`(_ isShared: Bool) throws {
        let volume = try TestVolume()
        let second = isShared ? try volume.second() : volume.mount
        defer { if isShared { second.close() } }
        let other = InodeID(6)
        try take(volume.mount, lock(1))
        try take(second, lock(2), of: other)
        try take(second, lock(3, 50...59))
        let (waits, _) = try wait(volume.mount, lock(1), of: other)
        // Owner 3 waits for owner 1, which waits for owner 2: no circle.
        let (third, ticket) = try wait(second, lock(3))
        #expect(throws: Errno.deadlock) {
            try second.setLock(of: file, lock(2), waits: true) { _ in
                Issue.record("it was refused")
            }
        }
        second.cancelLock(ticket)
        #expect(third.all == [.interrupted])
        #expect(waits.all.isEmpty)
        try drop(second, lock(2), of: other)
        eventually("the other side goes on") { waits.all == [nil] }
    }

    @Test func `a dead session's locks go to those who wait for them`() throws {
        let volume = try TestVolume()
        let dead = try volume.second()
        try take(dead, lock(1))
        try take(dead, lock(1), of: InodeID(6))
        let (waits, _) = try wait(volume.mount, lock(1))
        let (lost, _) = try wait(dead, lock(2, 5...200))
        #expect(lost.all.isEmpty)
        try take(volume.mount, lock(9, 100...200), of: InodeID(6))
        let end = Mutation.addMember(
            key: volume.mount.schema.sessions,
            Member(Bytes(decimal: dead.sessionID.rawValue), score: 1))
        _ = try volume.store.commit(Batch(mutations: [end]))
        try volume.mount.lookAfterSessions()
        #expect(waits.all == [nil])
        try take(volume.mount, lock(3), of: InodeID(6))
        dead.close()
    }

    @Test func `unmounting gives locks up`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        try take(second, lock(1))
        let (waits, _) = try wait(volume.mount, lock(1))
        second.close()
        eventually("it has the lock") { waits.all == [nil] }
        try drop(volume.mount, lock(1))
        #expect(try lockKeys(volume).isEmpty)
    }

    @Test func `a damaged table is an error, and a full one too`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        _ = try volume.store.commit(
            Batch(mutations: [.set(key: volume.mount.schema.locks(file), value: [9])]))
        #expect(throws: Errno.ioError) { try take(second, lock(1)) }
        var full = LockTable()
        full.held = (0..<UInt64(LockTable.maximumEntries)).map { number in
            LockTable.Held(
                owner: LockOwner(session: second.sessionID, family: .record, number: 2),
                mode: .shared, range: 2 * number...2 * number, processID: 7)
        }
        _ = try volume.store.commit(
            Batch(mutations: [
                .set(key: volume.mount.schema.locks(InodeID(6)), value: full.stored)
            ]))
        #expect(throws: Errno.noLocks) {
            try take(second, lock(1, 100_000...100_000), of: InodeID(6))
        }
    }

    @Test func `many mounts that lock at once never hold together`() throws {
        let volume = try TestVolume()
        let mounts = try [volume.mount, volume.second(), volume.second()]
        defer { for mount in mounts.dropFirst() { mount.close() } }
        let inside = Locked(0)
        let entered = Locked(0)
        let threads = (0..<6).map { number in
            TestThread(name: "locker") { [self] in
                let mount = mounts[number % 3]
                for _ in 0..<40 {
                    let mine = lock(UInt64(100 + number))
                    let got = Monitor<[Errno?]>([])
                    do throws(Errno) {
                        let start = try mount.setLock(of: file, mine, waits: true) { errno in
                            got.change { $0.append(errno) }
                        }
                        if start.start != .taken {
                            let answer: Errno?? = got.wait(until: .after(milliseconds: 30_000)) {
                                $0.first
                            }
                            #expect(answer == .some(nil))
                        }
                        #expect(
                            inside.withLock {
                                $0 += 1; return $0
                            } == 1)
                        entered.withLock { $0 += 1 }
                        inside.withLock { $0 -= 1 }
                        try drop(mount, mine)
                    } catch {
                        Issue.record("\(error)")
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(entered.withLock { $0 } == 240)
        #expect(try lockKeys(volume).isEmpty)
    }
}
