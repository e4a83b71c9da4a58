import Codecs
import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct TruncatingTests {
    private func truncate(
        _ mount: VolumeStore, _ record: InodeRecord, to size: UInt64, at nanoseconds: Int64 = 90
    ) throws -> InodeRecord {
        try mount.truncate(record, to: size, time: time(nanoseconds), permissions: nil)
    }

    /// A file of `blocks` whole blocks of `x`.
    private func file(
        _ volume: TestVolume, _ name: String = "a", blocks: Int
    ) throws -> InodeRecord {
        let made = try volume.file(name)
        try volume.write(made, String(repeating: "x", count: blocks * 4_096))
        return try volume.mount.record(of: made.id)
    }

    @Test func `to nothing is one trip: other data, the old blocks are garbage`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let before = try file(volume, blocks: 20)
        faulty.plan.withLock { $0.batches = [] }
        let after = try volume.mount.truncate(
            before, to: 0, time: time(90), permissions: 0o600)
        #expect(faulty.plan.withLock { $0.batches.first?.mutations.count ?? 0 } > 2)
        #expect(after.data != before.data)
        #expect(after.size == 0)
        #expect(after.storedBlocks == 0)
        #expect(after.permissions == 0o600)
        #expect(try volume.mount.record(of: before.id) == after)
        #expect(
            try volume.inode(before.id) == [
                "m": "33152", "u": "7", "g": "8", "n": "1", "a": "10", "t": "90", "c": "90",
                "d": "\(after.data)", "l": "1", "e": "\(volume.mount.sessionID)",
            ])
        #expect(try volume.hash(volume.mount.schema.volume)["blocks"] == "0")
        eventually("the old blocks go") {
            (try? volume.blockKeys(of: before.data, 0..<20).contains(true)) == false
        }
        // And again with what was written under the new id, through an old belief.
        try volume.write(after, "new")
        let again = try truncate(volume.mount, before, to: 0)
        #expect(again.data != after.data)
        _ = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: again, isOpen: { _ in false }, time: time(1))
        try volume.expectEmptyAfterClose()
    }

    @Test func `an empty file that is emptied keeps its data id`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        var after: InodeRecord?
        #expect(try volume.trips { after = try truncate(volume.mount, made, to: 0) } == 1)
        #expect(after?.data == made.data)
        #expect(after?.modificationTime == time(90))
    }

    @Test func `what was read before a cut is not taken for a tail that has been cleared`() throws {
        let volume = try TestVolume()
        let before = try file(volume, blocks: 4)
        let cut = try truncate(volume.mount, before, to: 5_000)
        #expect(cut.hasStaleTail)
        // A look at the inode that began before the cut and ends after it.
        volume.mount.known.forget(before.id)
        volume.mount.known.note(before)
        let cleared = try volume.mount.clearStaleTail(of: cut)
        #expect(cleared.tail.generation == cut.tail.generation + 1)
        #expect(try volume.blockKeys(of: before.data, 2..<4).allSatisfy { !$0 })
        // What is known now is newer than the cut: no trip.
        #expect(
            try volume.trips { _ = try volume.mount.clearStaleTail(of: cut) } == 0)
    }

    @Test(arguments: [Codec.none, .lz4])
    func `a shrink clears what it cuts off, so that an extension reads zeros`(
        _ codec: Codec
    ) throws {
        let volume = try TestVolume { $0.codec = codec }
        for (number, size) in [1, 4_095, 4_096, 4_097, 9_000, 12_288].enumerated() {
            let before = try file(volume, "f\(number)", blocks: 4)
            let cut = try truncate(volume.mount, before, to: UInt64(size))
            #expect(cut.size == UInt64(size))
            try eventuallyClear(volume, before.id)
            let after = try volume.mount.record(of: before.id)
            #expect(after.size == UInt64(size))
            #expect(after.storedBlocks == UInt64((size + 4_095) / 4_096))
            #expect(
                try volume.blockKeys(of: before.data, after.storedBlocks..<4)
                    .allSatisfy { !$0 })
            #expect(after.allocatedBlocks == before.allocatedBlocks)
            let extended = try truncate(volume.mount, after, to: 16_384)
            #expect(extended.size == 16_384)
            var content: Bytes = []
            for index in 0..<4 { content += try volume.read(before.data, UInt64(index)) }
            #expect(
                content
                    == Bytes(repeating: 120, count: size)
                    + Bytes(repeating: 0, count: 16_384 - size)
            )
        }
    }

    @Test func `sizes at the limits`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        #expect(throws: Errno.fileTooLarge) { try truncate(volume.mount, made, to: 1 << 63) }
        let largest = try truncate(volume.mount, made, to: FileOffset.maximum.bytes)
        #expect(largest.size == FileOffset.maximum.bytes)
        #expect(try volume.mount.record(of: made.id) == largest)
        #expect(largest.storedBlocks == 0)
        let small = try truncate(volume.mount, largest, to: 5)
        #expect(small.size == 5)
        #expect(try volume.mount.record(of: made.id).size == 5)
        try eventuallyClear(volume, made.id)
    }

    @Test(arguments: [FaultyStore.Call.drop, .load, .store])
    func `a shrink that fails on the way is finished before the file is extended`(
        _ call: FaultyStore.Call
    ) throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty, isStarted: false)
        let before = try file(volume, blocks: 4)
        let cut = try truncate(volume.mount, before, to: 5_000)
        faulty.fail(call)
        #expect(!volume.mount.reapTail(of: before.id))
        faulty.heal()
        #expect(cut.hasStaleTail)
        #expect(cut.size == 5_000)
        #expect(try volume.mount.record(of: before.id).hasStaleTail)
        let extended = try truncate(volume.mount, cut, to: 16_384)
        #expect(!extended.hasStaleTail)
        try expectZerosBehind(5_000, volume, before)
    }

    @Test func `a write behind a stale tail clears it first`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty, isStarted: false)
        let before = try file(volume, blocks: 4)
        _ = try truncate(volume.mount, before, to: 5_000)
        let memory = BlockMemory(4_096, filledWith: 121)
        _ = try volume.mount.store(
            [
                BlockChange(
                    address: BlockAddress(data: before.data, index: BlockIndex(3)),
                    ranges: [100..<200], memory: UnsafeRawBufferPointer(memory.bytes),
                    isWholeKnown: false, contentEnd: 4_096, form: .unknown)
            ], of: before.id,
            then: SizeCommit(inode: before.id, data: before.data, size: 3 * 4_096 + 200))
        var expected = Bytes(repeating: 0, count: 4_096)
        for position in 100..<200 { expected[position] = 121 }
        #expect(try volume.read(before.data, 3) == expected)
        #expect(try volume.read(before.data, 2) == Bytes(repeating: 0, count: 4_096))
        #expect(try !volume.mount.record(of: before.id).hasStaleTail)
    }

    @Test func `a mount that died while clearing is followed by another one`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty, isStarted: false)
        let second = try TestVolume.mount(faulty.base, volume.settings)
        defer { second.close() }
        let before = try file(volume, blocks: 4)
        let cut = try truncate(volume.mount, before, to: 5_000)
        #expect(cut.tail.claimant == volume.mount.sessionID)
        faulty.failAll(with: .unavailable("gone"))
        // As another mount does when the lease is over.
        _ = try second.store.commit(
            Batch(mutations: [.delete(key: volume.mount.schema.session(volume.mount.sessionID))]))
        let seen = try second.record(of: before.id)
        let extended = try truncate(second, seen, to: 16_384)
        #expect(!extended.hasStaleTail)
        faulty.heal()
        try expectZerosBehind(5_000, volume, before, by: second)
    }

    @Test func `a write that a cut overtakes is stored again behind it`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let second = try TestVolume.mount(faulty.base, volume.settings)
        defer { second.close() }
        let before = try file(volume, blocks: 4)
        let memory = BlockMemory(4_096, filledWith: 121)
        faulty.beforeNext(.store) {
            // Cut after the first mount judged the tail, before its blocks and batch arrive.
            if let seen = try? second.record(of: before.id) {
                _ = try? second.truncate(seen, to: 100, time: time(91), permissions: nil)
            }
        }
        let outcome = try volume.mount.store(
            [
                BlockChange(
                    address: BlockAddress(data: before.data, index: BlockIndex(2)),
                    ranges: [0..<4_096], memory: UnsafeRawBufferPointer(memory.bytes),
                    isWholeKnown: true, contentEnd: 4_096, form: .raw)
            ], of: before.id,
            then: SizeCommit(inode: before.id, data: before.data, modificationTime: time(92)))
        #expect(outcome.size == 3 * 4_096)
        let record = try second.record(of: before.id)
        #expect(record.size == 3 * 4_096)
        #expect(record.storedBlocks == 2)
        #expect(try volume.read(before.data, 2) == Bytes(repeating: 121, count: 4_096))
        #expect(try volume.read(before.data, 1) == Bytes(repeating: 0, count: 4_096))
        #expect(
            try volume.read(before.data, 0)
                == Bytes(repeating: 120, count: 100) + Bytes(repeating: 0, count: 3_996))
    }

    @Test func `what others add to a file before its tail is claimed is not cleared`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let second = try TestVolume.mount(faulty.base, volume.settings)
        defer { second.close() }
        let made = try volume.file("a")
        try volume.write(made, "first")
        faulty.beforeNext(.commit) {
            // After the first mount has read the record, before it claims the tail.
            let commit = SizeCommit(inode: made.id, data: made.data)
            _ = try? Bytes("second".utf8).withUnsafeBytes { try second.append($0, then: commit) }
        }
        try volume.mount.clearTail(of: made.id, made.data, isForced: true)
        #expect(try second.record(of: made.id).size == 11)
        #expect(try volume.read(made.data, 0).starts(with: "firstsecond".utf8))
    }

    @Test func `blocks of a file that another mount emptied are not left behind`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let second = try TestVolume.mount(faulty.base, volume.settings)
        let before = try file(volume, blocks: 2)
        faulty.beforeNext(.store) {
            if let seen = try? second.record(of: before.id) {
                _ = try? second.truncate(seen, to: 0, time: time(91), permissions: nil)
            }
        }
        #expect(throws: Errno.stale) { try volume.write(before, "late") }
        faulty.heal()
        let record = try second.record(of: before.id)
        #expect(record.size == 0)
        #expect(record.data != before.data)
        _ = try second.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in false }, time: time(1))
        second.close()
        try volume.expectEmptyAfterClose()
    }

    @Test func `what a session stored and did not commit before it crashed never shows`() throws {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let made = try volume.file("a")
        try volume.write(made, "0123456789")
        // Blocks are stored, the batch behind them is not: the daemon dies in between.
        let memory = BlockMemory(4_096, filledWith: 121)
        let key = volume.mount.schema.block(
            BlockAddress(data: made.data, index: BlockIndex(0)))
        _ = try faulty.base.store(
            [
                BlockWrite(
                    key: key, kind: .patch(offset: 10),
                    payload: UnsafeRawBufferPointer(rebasing: memory.bytes[..<90]))
            ], then: nil)
        let crashed = volume.mount.sessionID
        faulty.failAll(with: .unavailable("dead"))
        _ = try faulty.base.commit(
            Batch(mutations: [
                .addMember(
                    key: volume.mount.schema.sessions,
                    Member(Bytes(decimal: crashed.rawValue), score: 1))
            ]))
        let next = try TestVolume.mount(faulty.base, volume.settings)
        defer { next.close() }
        try next.lookAfterSessions()
        let seen = try next.record(of: made.id)
        #expect(seen.hasStaleTail)
        let extended = try truncate(next, seen, to: 50)
        #expect(!extended.hasStaleTail)
        let block = try volume.read(made.data, 0, by: next)
        #expect(block == Bytes("0123456789".utf8) + Bytes(repeating: 0, count: 4_086))
        faulty.heal()
        #expect(try volume.hash(volume.mount.schema.crashed) == ["\(crashed)": "1"])
    }

    @Test(arguments: [Codec.none, .lz4])
    func `a shrink is one trip, also of a long file, and of one whose tail is being cleared`(
        _ codec: Codec
    ) throws {
        // Without a reaper: every trip is the caller's.
        let base = try TestVolume(isStarted: false) { $0.codec = codec }
        let before = try file(base, blocks: 40)
        var cut = before
        for size in [5_000, 4_500, 100] as [UInt64] {
            #expect(
                try base.trips { cut = try truncate(base.mount, cut, to: size) } == 1)
            #expect(cut.size == size)
            #expect(cut.hasStaleTail)
        }
        // The list has it, for whoever comes when this mount is gone.
        #expect(base.mount.reapTail(of: before.id))
        #expect(try !base.mount.record(of: before.id).hasStaleTail)
        #expect(
            try base.blockKeys(of: before.data, 0..<40)
                == [true] + [Bool](repeating: false, count: 39))
        let after = try base.mount.record(of: before.id)
        _ = try truncate(base.mount, after, to: 16_384)
        try expectZerosBehind(100, base, before)
    }

    @Test func `a tail that its mount did not clear is cleared by the next one`() throws {
        let store = try TestStores.make()
        let volume = try TestVolume(over: store, isStarted: false)
        let before = try file(volume, blocks: 4)
        let cut = try truncate(volume.mount, before, to: 5_000)
        #expect(cut.tail.claimant == volume.mount.sessionID)
        let second = try TestVolume.mount(store.base, volume.settings, isStarted: false)
        defer { second.close() }
        // As long as the first one is there, it is left to it.
        #expect(!second.reapTail(of: before.id))
        #expect(try second.record(of: before.id).hasStaleTail)
        _ = try second.store.commit(
            Batch(mutations: [.delete(key: volume.mount.schema.session(volume.mount.sessionID))]))
        #expect(try second.scanGarbage(includingNotDue: true) == 1)
        #expect(try !second.record(of: before.id).hasStaleTail)
        #expect(try volume.blockKeys(of: before.data, 2..<4) == [false, false])
        #expect(try second.scanGarbage(includingNotDue: true) == 0)
    }

    private func eventuallyClear(_ volume: TestVolume, _ inode: InodeID) throws {
        try eventually("what was cut off is cleared") {
            try !volume.mount.record(of: inode).hasStaleTail
        }
    }

    private func expectZerosBehind(
        _ size: Int, _ volume: TestVolume, _ record: InodeRecord, by mount: VolumeStore? = nil
    ) throws {
        var content: Bytes = []
        for index in 0..<4 { content += try volume.read(record.data, UInt64(index), by: mount) }
        #expect(
            content == Bytes(repeating: 120, count: size)
                + Bytes(repeating: 0, count: 16_384 - size))
    }
}
