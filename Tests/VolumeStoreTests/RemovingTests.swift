import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct RemovingTests {
    @Test func `unlink, rmdir, link and setattr are one trip each`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let directory = try volume.directory("d")
        var linked = file
        #expect(
            try volume.trips {
                linked = try volume.mount.link(
                    file.id, in: directory.id, name: .name("b"), time: time(20), believed: file)
            } == 1)
        #expect(linked.linkCount == 2)
        // Nothing is left for the reaper to do in these, so only the calls themselves make trips.
        #expect(
            try volume.trips { try unlink(volume, "b", in: directory.id, believed: linked) } == 1)
        #expect(
            try volume.trips {
                _ = try volume.mount.rmdir(
                    parent: .root, name: .name("d"), believed: directory, time: time(30))
            } == 1)
        #expect(
            try volume.trips {
                try volume.mount.setAttributes(
                    of: file.id, RecordChange(permissions: 0o600, userID: 1))
            } == 1)
    }

    @Test func `removing the last name of a file is one trip, and the reaper does the rest`() throws
    {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let file = try volume.file("a")
        faulty.plan.withLock { $0.batches = [] }
        try unlink(volume, "a", believed: file)
        let batches = faulty.plan.withLock { $0.batches }
        #expect(
            batches.count {
                $0.mutations.contains(.delete(key: volume.mount.schema.inode(file.id)))
            } == 1)
        eventually("the garbage list empties") {
            (try? volume.garbage()) == []
        }
        #expect(try volume.inode(file.id).isEmpty)
    }

    @discardableResult
    private func unlink(
        _ volume: TestVolume, _ name: String, in parent: InodeID = .root, believed: InodeRecord?,
        isOpen: Bool = false, at nanoseconds: Int64 = 40
    ) throws -> Removal {
        try volume.mount.unlink(
            parent: parent, name: Bytes(name.utf8), believed: believed, isOpen: { _ in isOpen },
            time: time(nanoseconds))
    }

    @Test func `a name that goes leaves the others, with one link less`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let linked = try volume.mount.link(
            file.id, in: .root, name: .name("b"), time: time(50))
        #expect(linked.linkCount == 2)
        #expect(linked.changeTime == time(50))
        let removal = try unlink(volume, "a", believed: linked, at: 60)
        #expect(removal.linkCount == 1)
        #expect(!removal.isOrphan)
        let left = try volume.mount.lookup(parent: .root, name: .name("b"))
        #expect(left.linkCount == 1)
        #expect(left.changeTime == time(60))
        #expect(throws: Errno.noEntry) {
            try volume.mount.lookup(parent: .root, name: .name("a"))
        }
    }

    @Test func `what is believed wrongly is looked at again`() throws {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        let file = try volume.file("a")
        _ = try second.link(file.id, in: .root, name: .name("b"), time: time(1))
        let removal = try unlink(volume, "a", believed: file)
        #expect(removal.linkCount == 1)
        // Another file under the name.
        _ = try second.unlink(
            parent: .root, name: .name("b"), believed: nil, isOpen: { _ in false }, time: time(2))
        let other = try second.create(in: .root, name: .name("b"), .file())
        #expect(try unlink(volume, "b", believed: file).inode == other.id)
        #expect(throws: Errno.noEntry) { try unlink(volume, "b", believed: file) }
    }

    @Test func `unlink refuses directories, rmdir everything else and full directories`() throws {
        let volume = try TestVolume()
        let file = try volume.file("f")
        let directory = try volume.directory("d")
        #expect(throws: Errno.isDirectory) { try unlink(volume, "d", believed: directory) }
        #expect(throws: Errno.isDirectory) { try unlink(volume, "d", believed: nil) }
        for believed in [file, nil] {
            #expect(throws: Errno.notDirectory) {
                try volume.mount.rmdir(
                    parent: .root, name: .name("f"), believed: believed, time: time(1))
            }
        }
        _ = try volume.file("in", in: directory.id)
        for believed in [directory, nil] {
            #expect(throws: Errno.directoryNotEmpty) {
                try volume.mount.rmdir(
                    parent: .root, name: .name("d"), believed: believed, time: time(1))
            }
        }
        #expect(try volume.inode(.root)["n"] == "3")
    }

    @Test func `a directory takes its link to its parent along`() throws {
        let volume = try TestVolume()
        let directory = try volume.directory("d")
        let removal = try volume.mount.rmdir(
            parent: .root, name: .name("d"), believed: directory, time: time(99))
        #expect(removal.linkCount == 0)
        #expect(removal.kind == .directory)
        #expect(try volume.inode(.root)["n"] == "2")
        #expect(try volume.inode(directory.id).isEmpty)
        #expect(try volume.mount.statistics().inodes == 1)
    }

    @Test func `a link to what is no more, or to a directory, is refused`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let directory = try volume.directory("d")
        #expect(throws: Errno.notPermitted) {
            try volume.mount.link(directory.id, in: .root, name: .name("x"), time: time(1))
        }
        #expect(throws: Errno.exists) {
            try volume.mount.link(file.id, in: .root, name: .name("d"), time: time(1))
        }
        try unlink(volume, "a", believed: file, isOpen: true)
        #expect(throws: Errno.noEntry) {
            try volume.mount.link(
                file.id, in: .root, name: .name("x"), time: time(1), believed: file)
        }
        #expect(throws: Errno.noEntry) {
            try volume.mount.link(InodeID(999), in: .root, name: .name("x"), time: time(1))
        }
    }

    @Test func `another name of an inode that has as many as there can be is EMLINK`() throws {
        let volume = try TestVolume()
        var crowded = try volume.file("c")
        crowded.linkCount = VolumeStore.maximumLinks
        #expect(throws: Errno.tooManyLinks) {
            try volume.mount.link(
                crowded.id, in: .root, name: .name("x"), time: time(1), believed: crowded)
        }
    }

    @Test func `a file that is open stays without names until its last close`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        try volume.write(file, "content")
        let removal = try unlink(volume, "a", believed: file, isOpen: true)
        #expect(removal.isOrphan)
        #expect(removal.linkCount == 0)
        let orphans = volume.mount.schema.orphans(volume.mount.sessionID)
        #expect(try volume.hash(orphans) == ["\(file.id)": "1"])
        #expect(try volume.mount.record(of: file.id).linkCount == 0)
        #expect(try volume.read(file.data, 0).starts(with: "content".utf8))
        volume.mount.removeOrphan(file.id)
        #expect(try volume.hash(orphans).isEmpty)
        #expect(try volume.inode(file.id).isEmpty)
        try volume.expectEmptyAfterClose()
    }

    @Test func `after deleting everything the last session leaves the empty volume's keys`() throws
    {
        let volume = try TestVolume()
        let directory = try volume.directory("d")
        for index in 0..<40 {
            let file = try volume.file("f\(index)", in: directory.id)
            try volume.write(file, String(repeating: "x", count: 9_000))
            try volume.mount.setXattr(
                file.id, name: .name("user.a"), value: [1], mode: .createOrReplace, time: time(1))
        }
        for index in 0..<40 {
            try unlink(volume, "f\(index)", in: directory.id, believed: nil, isOpen: index % 3 == 0)
        }
        _ = try volume.mount.rmdir(
            parent: .root, name: .name("d"), believed: directory, time: time(1))
        try volume.expectEmptyAfterClose()
        #expect(try volume.hash(volume.mount.schema.volume)["inodes"] == "1")
        #expect(try volume.hash(volume.mount.schema.volume)["blocks"] == "0")
    }

    @Test func `what crashed between unlink and reaping is found by the next mount`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let file = try volume.file("a")
        try volume.write(file, String(repeating: "x", count: 9_000))
        faulty.plan.withLock { plan in
            plan.before = { call throws(StoreError) in
                if call == .drop { throw .unavailable("the plug is pulled") }
            }
        }
        try unlink(volume, "a", believed: nil)
        volume.mount.close()
        faulty.heal()
        #expect(try !volume.garbage().isEmpty)
        let next = try TestVolume.mount(faulty, volume.settings)
        next.close()
        #expect(try volume.garbage().isEmpty)
        #expect(try volume.blockKeys(of: file.data, 0..<4) == [false, false, false, false])
    }
}

extension TestVolume {
    func garbage() throws -> [Bytes] {
        guard
            case .members(let members) = try store.read([
                .members(key: mount.schema.garbage, upTo: .max, limit: 1_000)
            ])[0]
        else { return [] }
        return members.map(\.name)
    }

    func blockKeys(of data: DataID, _ range: Range<UInt64>) throws -> [Bool] {
        guard
            case .existing(let existing) = try store.read([
                .existence(keys: mount.schema.blocks(of: data, range))
            ])[0]
        else { return [] }
        return existing
    }

    /// Writes a file from its start, as one mount that knows all of it.
    @discardableResult
    func write(
        _ record: InodeRecord, _ text: String, by mount: VolumeStore? = nil
    ) throws -> BlockStoreOutcome {
        let blockBytes = settings.blockSize.bytes
        let content = Array(text.utf8)
        var memories: [BlockMemory] = []
        var changes: [BlockChange] = []
        for start in stride(from: 0, to: content.count, by: blockBytes) {
            let part = content[start..<min(start + blockBytes, content.count)]
            let memory = BlockMemory(blockBytes)
            memory.bytes.copyBytes(from: part)
            memories.append(memory)
            changes.append(
                BlockChange(
                    address: BlockAddress(
                        data: record.data, index: BlockIndex(UInt64(start / blockBytes))),
                    ranges: [0..<part.count], memory: UnsafeRawBufferPointer(memory.bytes),
                    isWholeKnown: true, contentEnd: part.count, form: .absent))
        }
        return try withExtendedLifetime(memories) {
            try (mount ?? self.mount).store(
                changes, of: record.id,
                then: SizeCommit(
                    inode: record.id, data: record.data, size: UInt64(content.count),
                    modificationTime: time(70), changeTime: time(70)))
        }
    }

    /// A block as a mount reads it.
    func read(_ data: DataID, _ index: UInt64, by mount: VolumeStore? = nil) throws -> Bytes {
        let memory = BlockMemory(settings.blockSize.bytes, filledWith: 0xAA)
        _ = try (mount ?? self.mount).load([
            BlockRequest(
                address: BlockAddress(data: data, index: BlockIndex(index)), memory: memory.bytes)
        ])
        return Bytes(memory.bytes)
    }

    /// Ends the mount, then holds every key of the store against those of an empty volume.
    func expectEmptyAfterClose(sourceLocation: SourceLocation = #_sourceLocation) throws {
        mount.close()
        let keys = try #require(store as? FaultyStore).allKeys()
        #expect(keys == ["{test}", "{test}i1"], sourceLocation: sourceLocation)
    }
}
