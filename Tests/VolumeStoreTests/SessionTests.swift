import FileSystem
import Foundation
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct SessionTests {
    @Test func `a session says who it is, and is gone after close`() throws {
        let volume = try TestVolume()
        let reports = try volume.mount.sessions()
        #expect(reports.count == 1)
        let report = try #require(reports.first)
        #expect(report.id == volume.mount.sessionID)
        #expect(report.host == "here")
        #expect(report.mountPoint == "/mnt")
        #expect(report.version == "1")
        #expect(report.processID == 1)
        #expect((1...30_000).contains(report.leaseMilliseconds))
        #expect(report.startedAt.nanoseconds > 0)
        volume.mount.close()
        #expect(try VolumeStore.sessions(volume.store, name: TestVolume.name).isEmpty)
    }

    @Test func `a mount is alone until another one joins, and again after that one left`() throws {
        let volume = try TestVolume()
        #expect(volume.mount.isAlone)
        let second = try volume.second()
        #expect(!second.isAlone)
        eventually("the first mount hears of it") { !volume.mount.isAlone }
        second.close()
        eventually("and of the end") { volume.mount.isAlone }
        #expect(volume.mount.sessionID != second.sessionID)
    }

    @Test func `a mount without a subscription never counts as alone`() throws {
        let volume = try TestVolume(isStarted: false)
        #expect(!volume.mount.isAlone)
        volume.mount.start { _ in }
        #expect(volume.mount.isAlone)
    }

    @Test func `a batch that relies on being alone does not happen when somebody joined unheard`()
        throws
    {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let made = try volume.file("a")
        try volume.write(made, "content")
        let settings = volume.settings
        let joined = Locked<VolumeStore?>(nil)
        faulty.beforeNext(.commit) {
            let mount = try? TestVolume.mount(faulty.base, settings)
            joined.withLock { $0 = mount }
        }
        _ = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: made, isOpen: { _ in false }, time: time(1))
        let second = try #require(joined.withLock { $0 })
        defer { second.close() }
        // Kept for the time in which the other mount may say that it has the file open.
        #expect(try volume.mount.record(of: made.id).linkCount == 0)
        #expect(try volume.garbage() == [Bytes("i\(made.id)".utf8)])
    }

    @Test func `a session whose lease is over is fenced and cleaned up after`() throws {
        let volume = try TestVolume()
        let doomed = try volume.second()
        let made = try volume.file("a")
        try volume.write(made, "content")
        _ = try doomed.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in true }, time: time(1))
        #expect(try volume.mount.record(of: made.id).linkCount == 0)
        let old = doomed.sessionID
        let end = Mutation.addMember(
            key: volume.mount.schema.sessions, Member(Bytes(decimal: old.rawValue), score: 1))
        _ = try volume.store.commit(Batch(mutations: [end]))
        try volume.mount.lookAfterSessions()
        #expect(try volume.mount.sessions().map(\.id) == [volume.mount.sessionID])
        #expect(try volume.hash(volume.mount.schema.session(old)).isEmpty)
        #expect(try volume.hash(volume.mount.schema.orphans(old)).isEmpty)
        #expect(try volume.inode(made.id).isEmpty)
        // The late batch of the fenced mount is refused, and it comes back as another session.
        #expect(throws: Errno.ioError) {
            try doomed.create(in: .root, name: .name("late"), .file())
        }
        eventually("it registers anew") { doomed.sessionID != old }
        eventually("and works again") {
            (try? doomed.create(in: .root, name: .name("again"), .file())) != nil
        }
        doomed.close()
    }

    @Test func `a session whose process is gone is not waited for`() throws {
        let volume = try TestVolume()
        let child = try childThatEnded()
        let dead = try TestVolume.mount(
            volume.store, volume.settings, isStarted: false, processID: child,
            machine: MachineIdentity.current)
        #expect(try volume.mount.sessions().count == 2)
        try volume.mount.lookAfterSessions()
        #expect(try volume.mount.sessions().map(\.id) == [volume.mount.sessionID])
        withExtendedLifetime(dead) {}
    }

    /// The number of a process that existed and does not any more.
    private func childThatEnded() throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/true")
        try process.run()
        process.waitUntilExit()
        return process.processIdentifier
    }

    @Test func `a read-only mount registers nothing and changes nothing`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        try volume.write(made, "content")
        let reader = try VolumeStore(
            store: volume.store, settings: volume.settings,
            session: SessionDescription(
                host: "h", processID: 1, mountPoint: "/", version: "1", machine: ""),
            isReadOnly: true, metrics: volume.metrics, logger: quietLogger)
        reader.start { _ in }
        defer { reader.close() }
        #expect(try reader.lookup(parent: .root, name: .name("a")).id == made.id)
        #expect(try volume.read(made.data, 0, by: reader).starts(with: "content".utf8))
        #expect(throws: Errno.readOnlyFileSystem) {
            try reader.create(in: .root, name: .name("b"), .file())
        }
        #expect(throws: Errno.readOnlyFileSystem) { try volume.write(made, "x", by: reader) }
        #expect(try volume.mount.sessions().count == 1)
    }

    @Test func `a session says what it has in use when it renews its lease`() throws {
        let volume = try TestVolume(isStarted: false)
        let opened = Locked(3)
        volume.mount.start(
            VolumeHooks(onChange: { _ in }, openFileCount: { opened.withLock { $0 } }))
        let file = try volume.file("a")
        let lock = FileLock(
            family: .record, owner: 1, mode: .exclusive, range: 0...9, processID: 42)
        _ = try volume.mount.setLock(of: file.id, lock, waits: false) { _ in }
        try volume.mount.renewLease()
        var report = try #require(try volume.mount.sessions().first)
        #expect(report.openFiles == 3)
        #expect(report.heldLocks == 1)
        opened.withLock { $0 = 0 }
        try volume.mount.renewLease()
        report = try #require(try volume.mount.sessions().first)
        #expect(report.openFiles == 0)
    }

    @Test func `a lease is renewed however much else there is to do`() throws {
        let volume = try TestVolume()
        let sessions = volume.mount.schema.sessions
        func leaseEnd() throws -> Int64? {
            let answers = try volume.store.read([.members(key: sessions, upTo: .max, limit: 2)])
            guard case .members(let members) = answers[0] else { return nil }
            return members.first?.score
        }
        let before = try #require(try leaseEnd())
        eventually("time goes by on the store's clock") {
            Timestamp.now.nanoseconds / 1_000_000 + Membership.leaseMilliseconds > before + 1
        }
        volume.mount.life.withLock { $0.nextRenewal = .now }
        // A connection that is lost again and again gives the keeper such a task each time.
        eventually("the lease is renewed") {
            volume.mount.keeperTask { $0.mustRefresh = true }
            return (try? leaseEnd()) ?? 0 > before
        }
    }

    /// Storing what waits in memory for another mount may take longer than a lease.
    @Test func `a lease is renewed while another mount is made to wait`() throws {
        let volume = try TestVolume(isStarted: false)
        let isStored = Monitor(false)
        let isAsked = Monitor(false)
        volume.mount.start(
            VolumeHooks(
                onChange: { _ in },
                beforeSharing: {
                    isAsked.change { $0 = true }
                    let _: Void? = isStored.wait { $0 ? () : nil }
                }))
        defer { isStored.change { $0 = true } }
        let second = try volume.second()
        defer { second.close() }
        let limit = Deadline.after(milliseconds: 10_000)
        #expect(isAsked.wait(until: limit) { $0 ? true : nil } == true)
        let own = Bytes(decimal: volume.mount.sessionID.rawValue)
        let sessions = volume.mount.schema.sessions
        _ = try volume.store.commit(
            Batch(mutations: [.addMember(key: sessions, Member(own, score: 1))]))
        volume.mount.life.change { $0.nextRenewal = .now }
        eventually("the lease is renewed") {
            let lease = try? volume.mount.sessions().first { $0.id == volume.mount.sessionID }
            return (lease?.leaseMilliseconds ?? 0) > 0
        }
        isStored.change { $0 = true }
        eventually("and the other mount may write") {
            (try? second.create(in: .root, name: .name("a"), .file())) != nil
        }
    }

    @Test func `an idle mount costs less than one trip a second`() throws {
        #expect(ReaperQueue.scanMilliseconds >= 30_000)
        #expect(Membership.renewalMilliseconds >= 10_000)
        let volume = try TestVolume()
        let trips = try volume.trips {
            try volume.mount.renewLease()
            try volume.mount.lookAfterSessions()
        }
        #expect(trips <= 5)
    }
}
