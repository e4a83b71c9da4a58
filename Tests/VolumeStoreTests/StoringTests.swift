import Codecs
import FileSystem
import KeyValue
import Primitives
import Telemetry
import TestSupport
import Testing

@testable import VolumeStore

@Suite struct StorePlanTests {
    static let block = 4_096

    private func decide(
        _ ranges: [Range<Int>], form: StoredForm, isWholeKnown: Bool, alone: Bool,
        contentEnd: Int = block, filledWith byte: UInt8 = 1, compresses: Bool = false
    ) -> BlockDecision {
        let memory = BlockMemory(Self.block, filledWith: byte)
        return withExtendedLifetime(memory) {
            StoreCircumstances(
                isAlone: alone, blockBytes: Self.block, compresses: compresses
            ).decide(
                BlockChange(
                    address: BlockAddress(data: DataID(1), index: BlockIndex(0)), ranges: ranges,
                    memory: UnsafeRawBufferPointer(memory.bytes), isWholeKnown: isWholeKnown,
                    contentEnd: contentEnd, form: form))
        }
    }

    @Test(arguments: [StoredForm.unknown, .absent, .raw, .packed], [true, false])
    func `a block that is dirty from end to end is replaced`(_ form: StoredForm, _ alone: Bool) {
        for isWholeKnown in [true, false] {
            #expect(
                decide([0..<Self.block], form: form, isWholeKnown: isWholeKnown, alone: alone)
                    == .replace(payloadBytes: Self.block))
        }
    }

    @Test func `zeros over a hole are stored only when somebody else may have stored there`() {
        #expect(
            decide([0..<Self.block], form: .absent, isWholeKnown: true, alone: true, filledWith: 0)
                == .skip)
        #expect(
            decide([0..<9], form: .absent, isWholeKnown: true, alone: true, filledWith: 0) == .skip)
        #expect(
            decide([0..<Self.block], form: .absent, isWholeKnown: true, alone: false, filledWith: 0)
                == .replace(payloadBytes: 0))
        #expect(
            decide([0..<Self.block], form: .raw, isWholeKnown: true, alone: true, filledWith: 0)
                == .replace(payloadBytes: 0))
    }

    @Test func `few bytes of a raw block are patched, without a look only by a mount alone`() {
        #expect(decide([5..<9], form: .raw, isWholeKnown: true, alone: true) == .patch)
        #expect(decide([5..<9], form: .raw, isWholeKnown: false, alone: true) == .patch)
        #expect(decide([5..<9], form: .raw, isWholeKnown: true, alone: false) == .patchMatching)
        #expect(decide([5..<9], form: .unknown, isWholeKnown: false, alone: true) == .patchMatching)
        #expect(
            decide([5..<9], form: .unknown, isWholeKnown: false, alone: false) == .patchMatching)
        #expect(
            decide([0..<2_048], form: .raw, isWholeKnown: true, alone: true)
                == .replace(payloadBytes: Self.block))
    }

    @Test func `a packed block is replaced only by who knows all of it and is alone`() {
        #expect(
            decide([5..<9], form: .packed, isWholeKnown: true, alone: true, contentEnd: 100)
                == .replace(payloadBytes: 100))
        #expect(decide([5..<9], form: .packed, isWholeKnown: true, alone: false) == .merge)
        #expect(decide([5..<9], form: .packed, isWholeKnown: false, alone: true) == .merge)
    }

    @Test func `a new block of a shared volume replaces nothing`() {
        #expect(
            decide([0..<9], form: .absent, isWholeKnown: true, alone: false) == .patchMatching)
        #expect(
            decide(
                [0..<9], form: .absent, isWholeKnown: true, alone: false, contentEnd: 9,
                compresses: true) == .replaceAbsent(payloadBytes: 9))
    }

    @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 4_096])
    func `zeros are told from everything else`(_ count: Int) {
        let memory = BlockMemory(4_096)
        #expect(isZero(UnsafeRawBufferPointer(memory.bytes), count))
        guard count > 0 else { return }
        for position in Set([0, count / 2, count - 1]) {
            memory.bytes[position] = 1
            #expect(!isZero(UnsafeRawBufferPointer(memory.bytes), count))
            memory.bytes[position] = 0
        }
    }

    @Test func `alloc grows by strides, and far away not at all`() {
        #expect(Allocation.grown(from: 0, toHold: 1) == 1)
        #expect(Allocation.grown(from: 1, toHold: 2) == 4)
        #expect(Allocation.grown(from: 4, toHold: 5) == 16)
        #expect(Allocation.grown(from: 1, toHold: 100) == 100)
        #expect(Allocation.grown(from: 100_000, toHold: 100_001) == 104_096)
    }
}

@Suite struct StoringTests {
    private func change(
        _ record: InodeRecord, _ index: UInt64, _ ranges: [Range<Int>], _ memory: BlockMemory,
        isWholeKnown: Bool = false, contentEnd: Int? = nil, form: StoredForm = .unknown
    ) -> BlockChange {
        BlockChange(
            address: BlockAddress(data: record.data, index: BlockIndex(index)), ranges: ranges,
            memory: UnsafeRawBufferPointer(memory.bytes), isWholeKnown: isWholeKnown,
            contentEnd: contentEnd ?? memory.bytes.count, form: form)
    }

    /// A program that is told of a failure appends its bytes again.
    @Test func `an append that is stored is no failure, whatever becomes of the count of blocks`()
        throws
    {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let made = try volume.file("a")
        let isAppended = Locked(false)
        faulty.plan.withLock { plan in
            plan.before = { call throws(StoreError) in
                if call == .store { isAppended.withLock { $0 = true } }
                if call == .commit, isAppended.withLock({ $0 }) { throw .unavailable("test") }
            }
        }
        let outcome = try Bytes("content".utf8).withUnsafeBytes { bytes in
            try volume.mount.append(bytes, then: SizeCommit(inode: made.id, data: made.data))
        }
        #expect(outcome.start == 0)
        faulty.heal()
        #expect(try volume.mount.record(of: made.id).size == 7)
        #expect(try volume.read(made.data, 0).starts(with: "content".utf8))
    }

    @Test func `a small file is stored and committed in one trip`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        #expect(try volume.trips { try volume.write(file, "hello") } == 1)
        #expect(
            try volume.inode(file.id) == [
                "m": "33188", "u": "7", "g": "8", "n": "1", "a": "10", "t": "70", "c": "70",
                "d": "\(file.id)", "l": "1", "e": "\(volume.mount.sessionID)", "s": "5", "k": "1",
            ])
        #expect(
            try volume.read(file.data, 0) == Bytes("hello".utf8) + Bytes(repeating: 0, count: 4_091)
        )
        #expect(try volume.hash(volume.mount.schema.volume)["blocks"] == "1")
        #expect(try volume.trips { _ = try volume.read(file.data, 0) } == 1)
    }

    @Test func `a hole reads as zeros`() throws {
        let volume = try TestVolume()
        #expect(try volume.read(DataID(77), 5) == Bytes(repeating: 0, count: 4_096))
    }

    @Test func `a larger file costs one trip more, and its next blocks none`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let text = String(repeating: "0123456789", count: 2_000)
        var outcome: BlockStoreOutcome?
        #expect(try volume.trips { outcome = try volume.write(file, text) } == 2)
        #expect(try #require(outcome).allocatedBlocks >= 5)
        #expect(outcome?.storedBlocks == 5)
        #expect(outcome?.size == 20_000)
        let more = BlockMemory(4_096, filledWith: 1)
        #expect(
            try volume.trips {
                _ = try volume.mount.store(
                    [change(file, 5, [0..<4_096], more, isWholeKnown: true, form: .absent)],
                    of: file.id,
                    then: SizeCommit(inode: file.id, data: file.data, size: 24_576))
            } == 1)
        for index in 0..<5 {
            let part = Bytes(text.utf8)[(index * 4_096)..<min(20_000, (index + 1) * 4_096)]
            #expect(try volume.read(file.data, UInt64(index)).starts(with: part))
        }
    }

    @Test func `a file that grows block by block raises alloc mostly on the way`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let memory = BlockMemory(4_096, filledWith: 7)
        let trips = try volume.trips {
            for index in 0..<200 as Range<UInt64> {
                _ = try volume.mount.store(
                    [change(file, index, [0..<4_096], memory, isWholeKnown: true, form: .absent)],
                    of: file.id,
                    then: SizeCommit(inode: file.id, data: file.data, size: (index + 1) * 4_096))
            }
        }
        #expect(trips <= 202)
        let stored = try volume.inode(file.id)
        #expect(stored["k"] == "200")
        #expect(stored["s"] == "819200")
        #expect(try #require(UInt64(stored["l"] ?? "")) >= 200)
        _ = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in false }, time: time(1))
        try volume.expectEmptyAfterClose()
    }

    @Test(arguments: [Codec.none, .lz4, .zlib(level: 1), .zlib(level: 9)])
    func `blocks come back as they were stored, at every boundary`(_ codec: Codec) throws {
        let volume = try TestVolume { $0.codec = codec }
        for (number, length) in [1, 1_023, 1_024, 1_025, 4_095, 4_096].enumerated() {
            for isCompressible in [true, false] {
                let file = try volume.file("f\(number)\(isCompressible)")
                var random = SeededRandom(seed: UInt64(length))
                let memory = BlockMemory(4_096)
                for position in 0..<length {
                    memory.bytes[position] =
                        isCompressible ? 65 : UInt8(truncatingIfNeeded: random.next())
                }
                let outcome = try volume.mount.store(
                    [
                        change(
                            file, 0, [0..<length], memory, isWholeKnown: true, contentEnd: length,
                            form: .absent)
                    ], of: file.id,
                    then: SizeCommit(inode: file.id, data: file.data, size: UInt64(length)))
                let isPacked = codec != .none && isCompressible && length >= 1_024
                #expect(outcome.forms == [isPacked ? .packed : .raw])
                #expect(try volume.read(file.data, 0) == Bytes(memory.bytes))
                let loaded = BlockMemory(4_096)
                #expect(
                    try volume.mount.load([
                        BlockRequest(
                            address: BlockAddress(data: file.data, index: BlockIndex(0)),
                            memory: loaded.bytes)
                    ]) == outcome.forms)
            }
        }
    }

    @Test func `a patch changes the dirty bytes and nothing else`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        try volume.write(file, String(repeating: "a", count: 4_096))
        let memory = BlockMemory(4_096, filledWith: 98)
        #expect(
            try volume.trips {
                _ = try volume.mount.store(
                    [change(file, 0, [10..<12, 4_000..<4_001], memory, form: .raw)], of: file.id,
                    then: nil)
            } == 1)
        var expected = Bytes(repeating: 97, count: 4_096)
        expected[10] = 98
        expected[11] = 98
        expected[4_000] = 98
        #expect(try volume.read(file.data, 0) == expected)
        #expect(try volume.inode(file.id)["k"] == "1")
    }

    @Test func `a partial change of a packed block is merged into it`() throws {
        let volume = try TestVolume { $0.codec = .lz4 }
        let file = try volume.file("a")
        try volume.write(file, String(repeating: "a", count: 4_096))
        let memory = BlockMemory(4_096, filledWith: 98)
        for form in [StoredForm.packed, .unknown, .raw] where form != .raw {
            let outcome = try volume.mount.store(
                [change(file, 0, [100..<110], memory, form: form)], of: file.id, then: nil)
            #expect(outcome.forms == [.packed])
        }
        var expected = Bytes(repeating: 97, count: 4_096)
        for position in 100..<110 { expected[position] = 98 }
        #expect(try volume.read(file.data, 0) == expected)
        #expect(try volume.inode(file.id)["k"] == "1")
    }

    @Test func `blocks are counted however little was known of them`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let memory = BlockMemory(4_096, filledWith: 1)
        // Block 2 first, patched; then all of blocks 0 to 3 with nothing known.
        _ = try volume.mount.store(
            [change(file, 2, [1..<5], memory)], of: file.id,
            then: SizeCommit(inode: file.id, data: file.data, size: 16_384))
        #expect(try volume.inode(file.id)["k"] == "1")
        let outcome = try volume.mount.store(
            (0..<4).map { change(file, $0, [0..<4_096], memory) }, of: file.id, then: nil)
        #expect(outcome.storedBlocks == 4)
        #expect(try volume.inode(file.id)["k"] == "4")
        #expect(try volume.hash(volume.mount.schema.volume)["blocks"] == "4")
    }

    @Test func `a commit without blocks sets times, mode and size`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        var commit = SizeCommit(inode: file.id, data: file.data)
        commit.modificationTime = time(5)
        commit.changeTime = time(600)
        commit.accessTime = time(7)
        commit.newPermissions = 0o755
        _ = try volume.mount.store([], of: file.id, then: commit)
        let stored = try volume.inode(file.id)
        #expect(stored["t"] == "5")
        #expect(stored["c"] == "600")
        #expect(stored["a"] == "7")
        #expect(stored["m"] == "33261")
        #expect(stored["s"] == nil)
    }

    @Test func `a block far away is found by its chunk, and goes with the file`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let far: UInt64 = 1 << 50
        let memory = BlockMemory(4_096, filledWith: 1)
        _ = try volume.mount.store(
            [change(file, far, [0..<10], memory, form: .absent), change(file, 0, [0..<9], memory)],
            of: file.id,
            then: SizeCommit(inode: file.id, data: file.data, size: far * 4_096 + 10))
        let record = try volume.mount.record(of: file.id)
        #expect(record.allocatedBlocks == far + 1)
        #expect(record.denseBlocks == 1)
        #expect(try volume.mount.chunks(of: file.data) == [Chunk(of: far)])
        #expect(try volume.read(file.data, far).starts(with: [1, 1, 1]))
        // The dense part goes on growing beside it.
        _ = try volume.mount.store(
            (1..<9).map { change(file, $0, [0..<9], memory) }, of: file.id, then: nil)
        #expect(try #require(try volume.mount.record(of: file.id).denseBlocks) >= 9)
        _ = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in false }, time: time(1))
        try volume.expectEmptyAfterClose()
    }

    @Test func `a hole that is punched drops its blocks`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        try volume.write(file, String(repeating: "x", count: 5 * 4_096))
        let record = try volume.mount.record(of: file.id)
        let after = try volume.mount.deallocate(record, blocks: 1..<3, time: time(200))
        #expect(after.storedBlocks == 3)
        #expect(
            try volume.mount.storedBlockIndexes(file.data, in: 0..<6)
                == [true, false, false, true, true, false])
        #expect(try volume.inode(file.id)["k"] == "3")
        #expect(try volume.hash(volume.mount.schema.volume)["blocks"] == "3")
        #expect(try volume.inode(file.id)["t"] == "200")
    }

    @Test func `a full store is ENOSPC, and removing still works`() throws {
        let metrics = Metrics()
        let store = MemoryStore(limitBytes: 60_000, metrics: metrics)
        let volume = try TestVolume(over: store)
        var errno: Errno?
        for index in 0..<1_000 where errno == nil {
            do {
                let file = try volume.file("f\(index)")
                try volume.write(file, String(repeating: "x", count: 4_096))
            } catch {
                errno = error as? Errno
            }
        }
        #expect(errno == .noSpace)
        let page = try volume.mount.page(of: .root)
        for entry in page.entries {
            _ = try volume.mount.unlink(
                parent: .root, name: entry.name, believed: entry.record, isOpen: { _ in false },
                time: time(1))
        }
        eventually("there is room again") { (try? volume.file("again")) != nil }
    }
}
