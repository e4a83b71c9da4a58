import Codecs
import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import VolumeStore

@Suite struct SharingTests {
    private func patch(
        _ mount: VolumeStore, _ record: InodeRecord, _ range: Range<Int>, with byte: UInt8,
        form: StoredForm = .unknown, isWholeKnown: Bool = false
    ) throws -> BlockStoreOutcome {
        let memory = BlockMemory(4_096)
        memory.fill(range, with: byte)
        return try mount.store(
            [
                BlockChange(
                    address: BlockAddress(data: record.data, index: BlockIndex(0)), ranges: [range],
                    memory: UnsafeRawBufferPointer(memory.bytes), isWholeKnown: isWholeKnown,
                    contentEnd: range.upperBound, form: form)
            ], of: record.id,
            then: SizeCommit(inode: record.id, data: record.data, size: UInt64(range.upperBound)))
    }

    @Test func `a file becomes sparse behind everything that another mount may have stored`() throws
    {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        let made = try volume.file("a")
        _ = try patch(volume.mount, made, 0..<100, with: 1)
        // The other mount is about to store blocks; nobody has heard of it.
        var entry = try second.knownEntry(made.id, made.data)
        try second.allocate([99], of: made.id, &entry, extends: false)
        let memory = BlockMemory(4_096, filledWith: 2)
        _ = try withExtendedLifetime(memory) {
            try volume.mount.store(
                [
                    BlockChange(
                        address: BlockAddress(data: made.data, index: BlockIndex(200_000)),
                        ranges: [0..<4_096], memory: UnsafeRawBufferPointer(memory.bytes),
                        isWholeKnown: true, contentEnd: 4_096, form: .absent)
                ], of: made.id,
                then: SizeCommit(inode: made.id, data: made.data, size: 200_001 * 4_096))
        }
        let dense = try #require(volume.inode(made.id)["f"].flatMap { Int($0) })
        #expect(dense >= 100)
    }

    @Test(arguments: [Codec.none, .lz4], [StoredForm.unknown, .absent, .raw])
    func `two mounts that write disjoint bytes of one block both keep them`(
        _ codec: Codec, _ form: StoredForm
    ) throws {
        let volume = try TestVolume { $0.codec = codec }
        let second = try volume.second()
        defer { second.close() }
        let made = try volume.file("a")
        _ = try patch(volume.mount, made, 0..<1_500, with: 1, form: form, isWholeKnown: true)
        let seen = try second.record(of: made.id)
        _ = try patch(second, seen, 2_000..<4_000, with: 2, form: form, isWholeKnown: true)
        _ = try patch(volume.mount, made, 1_600..<1_700, with: 3, form: form, isWholeKnown: true)
        var expected = Bytes(repeating: 0, count: 4_096)
        expected.replaceSubrange(0..<1_500, with: Bytes(repeating: 1, count: 1_500))
        expected.replaceSubrange(2_000..<4_000, with: Bytes(repeating: 2, count: 2_000))
        expected.replaceSubrange(1_600..<1_700, with: Bytes(repeating: 3, count: 100))
        #expect(try volume.read(made.data, 0) == expected)
        let record = try second.record(of: made.id)
        #expect(record.size == 4_000)
    }

    @Test(arguments: [Codec.none, .lz4, .zlib(level: 1)])
    func `many writers of one block at once all keep their bytes`(_ codec: Codec) throws {
        let volume = try TestVolume { $0.codec = codec }
        let second = try volume.second()
        let third = try volume.second()
        defer {
            second.close()
            third.close()
        }
        let made = try volume.file("a")
        try volume.write(made, String(repeating: "z", count: 4_096))
        let mounts = [volume.mount, second, third]
        let threads = mounts.enumerated().map { number, mount in
            TestThread(name: "writer") {
                for turn in 0..<40 {
                    let start = turn * 100 + number * 30
                    _ = try? self.patch(
                        mount, made, start..<start + 30, with: UInt8(number + 1),
                        form: turn.isMultiple(of: 2) ? .packed : .raw)
                }
            }
        }
        for thread in threads { thread.join() }
        let block = try volume.read(made.data, 0)
        for turn in 0..<40 {
            for number in 0..<3 {
                let start = turn * 100 + number * 30
                #expect(
                    block[start..<start + 30].allSatisfy { $0 == UInt8(number + 1) },
                    "turn \(turn) of mount \(number)")
            }
            #expect(block[(turn * 100 + 90)..<(turn * 100 + 96)].allSatisfy { $0 == 122 })
        }
    }

    @Test func `a packed block that changes before it is replaced is merged again`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty) { $0.codec = .lz4 }
        let second = try TestVolume.mount(faulty.base, volume.settings)
        defer { second.close() }
        let made = try volume.file("a")
        try volume.write(made, String(repeating: "z", count: 4_096))
        faulty.beforeNext(.store) {
            _ = try? self.patch(second, made, 1_000..<1_010, with: 2, form: .packed)
        }
        _ = try patch(volume.mount, made, 0..<10, with: 1, form: .packed)
        let block = try volume.read(made.data, 0)
        #expect(block[0..<10].allSatisfy { $0 == 1 })
        #expect(block[1_000..<1_010].allSatisfy { $0 == 2 })
        #expect(block[10..<1_000].allSatisfy { $0 == 122 })
    }

    @Test func `a mount that just joined is not overwritten by one that thought to be alone`()
        throws
    {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let made = try volume.file("a")
        try volume.write(made, String(repeating: "z", count: 4_096))
        #expect(volume.mount.isAlone)
        let joined = Locked<VolumeStore?>(nil)
        let settings = volume.settings
        faulty.beforeNext(.store) {
            // The second mount may not store before the first one's store is over, so it only joins.
            let mount = try? TestVolume.mount(faulty.base, settings)
            joined.withLock { $0 = mount }
        }
        _ = try patch(volume.mount, made, 0..<4_000, with: 1, form: .raw, isWholeKnown: true)
        let second = try #require(joined.withLock { $0 })
        defer { second.close() }
        _ = try patch(second, made, 4_000..<4_096, with: 2)
        #expect(!volume.mount.isAlone)
        #expect(!second.isAlone)
        let block = try volume.read(made.data, 0)
        #expect(block[0..<4_000].allSatisfy { $0 == 1 })
        #expect(block[4_000..<4_096].allSatisfy { $0 == 2 })
    }

    @Test func `a mount holds its first store back until the one that was alone knows`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let made = try volume.file("a")
        #expect(volume.mount.isAlone)
        let epoch = volume.mount.membership.beginLoneCall()
        #expect(epoch != nil)
        let second = try volume.second()
        defer { second.close() }
        let isDone = Monitor(false)
        let writer = TestThread(name: "writer") {
            _ = try? self.patch(second, made, 0..<10, with: 1)
            isDone.change { $0 = true }
        }
        eventually("the first mount hears of the second") { !volume.mount.isAlone }
        #expect(!isDone.withLock { $0 })
        #expect(second.membership.state.withLock { $0.mustWaitForOthers })
        volume.mount.membership.endLoneCall()
        writer.join()
        #expect(isDone.withLock { $0 })
        #expect(try volume.read(made.data, 0)[0] == 1)
    }

    @Test func `a file that is open elsewhere outlives its last name`() throws {
        let volume = try TestVolume()
        let seen = Locked<[RemoteChange]>([])
        let second = try volume.second { change in seen.withLock { $0.append(change) } }
        let made = try volume.file("a")
        try volume.write(made, "content")
        let removal = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in false }, time: time(1))
        #expect(!removal.isOrphan)
        eventually("the second mount hears of it") {
            seen.withLock { $0.contains(.removed(made.id)) }
        }
        try second.claimOrphan(made.id)
        // The grace is over.
        _ = try volume.mount.scanGarbage(includingNotDue: true)
        #expect(try volume.garbage().isEmpty)
        #expect(try second.record(of: made.id).linkCount == 0)
        #expect(try volume.read(made.data, 0, by: second).starts(with: "content".utf8))
        second.removeOrphan(made.id)
        second.close()
        try volume.expectEmptyAfterClose()
    }

    @Test func `changes are heard by the other mount and not by oneself`() throws {
        let own = Locked<[RemoteChange]>([])
        let store = MemoryStore()
        let settings = try VolumeStore.format(
            store, FormatOptions(name: TestVolume.name), force: false)
        let first = try TestVolume.mount(store, settings) { change in
            own.withLock { $0.append(change) }
        }
        defer { first.close() }
        let seen = Locked<[RemoteChange]>([])
        let second = try TestVolume.mount(store, settings) { change in
            seen.withLock { $0.append(change) }
        }
        defer { second.close() }
        let file = try first.create(in: .root, name: .name("a"), .file())
        try first.setAttributes(of: file.id, RecordChange(permissions: 0o600))
        eventually("the changes arrive") {
            seen.withLock {
                $0.contains(.entry(parent: .root, name: .name("a")))
                    && $0.contains(.attributes(.root)) && $0.contains(.attributes(file.id))
            }
        }
        #expect(own.withLock { $0.allSatisfy { $0 == .sessions } })
        #expect(!seen.withLock { $0.contains(.everything) })
        // A gap in the numbers, and a message that is none.
        _ = try store.commit(
            Batch(mutations: [.increment(key: first.schema.volume, field: Field.changes, by: 1)]))
        try first.setAttributes(of: file.id, RecordChange(permissions: 0o644))
        eventually("a gap drops everything") { seen.withLock { $0.contains(.everything) } }
        seen.withLock { $0 = [] }
        _ = try store.commit(
            Batch(mutations: [
                .publish(
                    channel: first.schema.channel, key: first.schema.volume, field: Field.changes,
                    message: [9, 9, 9])
            ]))
        eventually("so does a message that cannot be right") {
            seen.withLock { $0.contains(.everything) }
        }
    }
}
