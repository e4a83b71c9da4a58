import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct CreatingTests {
    @Test func `a new file has the fields that it was made with, and no more`() throws {
        let volume = try TestVolume()
        let record = try volume.file("a", at: 1_000)
        #expect(
            try volume.inode(record.id) == [
                "m": "33188", "u": "7", "g": "8", "n": "1", "a": "1000", "t": "1000", "c": "1000",
                "d": "\(record.id)", "l": "1", "e": "\(volume.mount.sessionID)",
            ])
        #expect(
            try volume.hash(volume.mount.schema.directory(.root)) == ["a": "\(record.id):f"])
        #expect(try volume.mount.lookup(parent: .root, name: .name("a")) == record)
    }

    @Test func `a new directory links its parent and raises its times`() throws {
        let volume = try TestVolume()
        let later = Timestamp.now.nanoseconds + 1_000_000
        let made = try volume.directory("d", at: later)
        #expect(
            try volume.inode(made.id) == [
                "m": "16877", "u": "7", "g": "8", "n": "2", "a": "\(later)", "t": "\(later)",
                "c": "\(later)", "p": "1",
            ])
        let root = try volume.inode(.root)
        #expect(root["n"] == "3")
        #expect(root["t"] == "\(later)")
        #expect(root["c"] == "\(later)")
        _ = try volume.file("old", at: 5)
        #expect(try volume.inode(.root)["t"] == "\(later)")
    }

    @Test func `links, devices and fifos keep what they are made of`() throws {
        let volume = try TestVolume()
        let target: Bytes = [0x2F, 0xFF, 0x20]
        let link = try volume.mount.create(
            in: .root, name: .name("l"),
            NewInode(kind: .symbolicLink, permissions: 0o777, target: target, time: time(1)))
        #expect(link.size == 3)
        let found = try volume.mount.lookup(parent: .root, name: .name("l"))
        #expect(found == link)
        #expect(found.target == target)
        let device = try volume.mount.create(
            in: .root, name: .name("b"),
            NewInode(kind: .blockDevice, permissions: 0o600, device: 0x801, time: time(1)))
        #expect(try volume.mount.lookup(parent: .root, name: .name("b")) == device)
        #expect(try volume.inode(device.id)["r"] == "2049")
    }

    @Test func `names are any bytes`() throws {
        let volume = try TestVolume()
        let name = Bytes(1...255).filter { $0 != 0x2F }
        let made = try volume.mount.create(in: .root, name: name, .file())
        #expect(try volume.mount.lookup(parent: .root, name: name) == made)
        let page = try volume.mount.page(of: .root)
        #expect(page.next == 0)
        #expect(page.entries.map(\.name) == [name])
        #expect(page.entries[0].record == made)
    }

    @Test func `create, mkdir and lookup are one trip each`() throws {
        let volume = try TestVolume()
        #expect(try volume.trips { _ = try volume.file("a") } == 1)
        #expect(try volume.trips { _ = try volume.directory("d") } == 1)
        #expect(
            try volume.trips { _ = try volume.mount.lookup(parent: .root, name: .name("a")) } == 1)
        #expect(try volume.trips { _ = try volume.mount.page(of: .root) } == 1)
        #expect(try volume.trips { _ = try volume.mount.records(of: [.root, .root]) } == 1)
    }

    @Test func `the volume counts inodes`() throws {
        let volume = try TestVolume()
        for index in 0..<5 { _ = try volume.file("f\(index)") }
        #expect(try volume.mount.statistics().inodes == 6)
    }

    @Test func `a name that is there is EEXIST, a directory that is gone ENOENT`() throws {
        let volume = try TestVolume()
        let directory = try volume.directory("d")
        #expect(throws: Errno.exists) { try volume.file("d") }
        #expect(throws: Errno.noEntry) { try volume.mount.lookup(parent: .root, name: .name("x")) }
        _ = try volume.mount.rmdir(
            parent: .root, name: .name("d"), believed: directory, time: time(1))
        #expect(throws: Errno.noEntry) { try volume.file("a", in: directory.id) }
        #expect(throws: Errno.stale) { try volume.mount.record(of: directory.id) }
        #expect(try volume.mount.records(of: [directory.id, .root])[0] == nil)
    }

    @Test func `numbers are taken a thousand at a time and never twice`() throws {
        let begun = Deadline.now
        let volume = try TestVolume()
        var seen = Set<UInt64>()
        let trips = try volume.trips {
            for index in 0..<2_100 {
                let made = try volume.file("f\(index)")
                #expect(seen.insert(made.id.rawValue).inserted)
            }
        }
        // On a slow machine the lease is renewed meanwhile.
        let milliseconds =
            (Deadline.now.monotonicNanoseconds - begun.monotonicNanoseconds) / 1_000_000
        let renewals = UInt64(milliseconds) / UInt64(Membership.renewalMilliseconds)
        #expect((2_102...2_102 + renewals).contains(trips))
        let second = try volume.second()
        defer { second.close() }
        let made = try second.create(in: .root, name: .name("second"), .file())
        #expect(!seen.contains(made.id.rawValue))
    }

    @Test func `a store that went back in time does not make an inode twice`() throws {
        let volume = try TestVolume()
        let first = try volume.file("a")
        // The counter and the next number as an older snapshot would have them.
        _ = try volume.store.commit(
            Batch(mutations: [
                .setFields(
                    key: volume.mount.schema.volume,
                    [Pair(Field.nextID, Bytes(decimal: first.id.rawValue - 1))])
            ]))
        volume.mount.identifiers.discard()
        let second = try volume.file("b")
        #expect(second.id != first.id)
        #expect(try volume.mount.lookup(parent: .root, name: .name("a")) == first)
    }

    @Test func `a batch whose answer was lost and that is sent again happens once`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        _ = try volume.directory("d")
        let batch = try #require(faulty.plan.withLock { $0.batches.last })
        let id = try #require(batch.id)
        #expect(id.session == volume.mount.schema.session(volume.mount.sessionID))
        let before = try volume.inode(.root)
        let counters = try volume.hash(volume.mount.schema.volume)
        guard case .committed = try faulty.commit(batch) else {
            Issue.record("the second time has the first one's answer")
            return
        }
        #expect(try volume.inode(.root) == before)
        #expect(try volume.hash(volume.mount.schema.volume) == counters)
    }

    @Test func `batch ids are never used twice`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        for index in 0..<200 { _ = try volume.file("f\(index)") }
        let ids = faulty.plan.withLock { $0.batches.compactMap(\.id) }
        #expect(ids.count >= 200)
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { (0..<64).contains($0.slot) && $0.sequence > 0 })
    }

    @Test(arguments: [
        (StoreError.unavailable("x"), Errno.ioError), (.outOfMemory, .noSpace),
        (.readOnly, .readOnlyFileSystem), (.fenced, .ioError), (.wrongKind, .ioError),
        (.protocolViolation("x"), .ioError), (.closed, .ioError), (.notAuthorized("x"), .ioError),
    ])
    func `a failure of the store has its error number`(
        _ failure: StoreError, _ errno: Errno
    ) throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        faulty.fail(.commit, with: failure)
        #expect(throws: errno) { try volume.file("a") }
        faulty.heal()
        #expect(try volume.mount.page(of: .root).entries.isEmpty)
    }
}
