import Codecs
import FileSystem
import KeyValue
import Primitives
import Telemetry
import TestSupport
import Testing

@testable import VolumeStore

@Suite struct CompressionHistoryTests {
    @Test func `what does not shrink is tried now and then only`() {
        var history = CompressionHistory()
        for _ in 0..<CompressionHistory.patience {
            let tries = history.shouldTry()
            #expect(tries)
            history.note(shrank: false)
        }
        for _ in 0..<3 {
            let tries = (0..<CompressionHistory.probeInterval).count { _ in history.shouldTry() }
            #expect(tries == 1)
            history.note(shrank: false)
        }
    }

    @Test func `one block that shrinks makes all be tried again`() {
        var history = CompressionHistory()
        for _ in 0..<CompressionHistory.patience { history.note(shrank: false) }
        let isTriedBefore = history.shouldTry()
        #expect(!isTriedBefore)
        history.note(shrank: true)
        let isTriedAfter = history.shouldTry()
        #expect(isTriedAfter)
    }
}

/// Blocks of files on volumes with a codec.
@Suite struct CompressionTests {
    private static let block = 4_096

    /// Stores whole blocks from `first` on, in one call; the forms that they were given.
    private func store(
        _ volume: TestVolume, _ file: InodeRecord, from first: UInt64, _ memories: [BlockMemory]
    ) throws -> [StoredForm] {
        let changes = memories.enumerated().map { place, memory in
            BlockChange(
                address: BlockAddress(data: file.data, index: BlockIndex(first + UInt64(place))),
                ranges: [0..<Self.block], memory: UnsafeRawBufferPointer(memory.bytes),
                isWholeKnown: true, contentEnd: Self.block, form: .absent)
        }
        let size = (first + UInt64(memories.count)) * UInt64(Self.block)
        return try volume.mount.store(
            changes, of: file.id,
            then: SizeCommit(inode: file.id, data: file.data, size: size)
        ).forms
    }

    private func load(_ volume: TestVolume, _ file: InodeRecord, _ count: Int) throws
        -> [BlockMemory]
    {
        let memories = (0..<count).map { _ in BlockMemory(Self.block) }
        _ = try volume.mount.load(
            memories.enumerated().map { place, memory in
                BlockRequest(
                    address: BlockAddress(data: file.data, index: BlockIndex(UInt64(place))),
                    memory: memory.bytes)
            })
        return memories
    }

    private func random(_ seed: UInt64) -> BlockMemory {
        var random = SeededRandom(seed: seed)
        let memory = BlockMemory(Self.block)
        for position in 0..<Self.block {
            memory.bytes[position] = UInt8(truncatingIfNeeded: random.next())
        }
        return memory
    }

    @Test(arguments: [Codec.lz4, .zlib(level: 1)])
    func `many blocks of one flush come back as they were`(_ codec: Codec) throws {
        let volume = try TestVolume { $0.codec = codec }
        let file = try volume.file("a")
        let memories = (0..<40).map { number in
            number % 3 == 0
                ? random(UInt64(number)) : BlockMemory(Self.block, filledWith: UInt8(number))
        }
        let forms = try store(volume, file, from: 0, memories)
        for (number, form) in forms.enumerated() {
            #expect(form == (number % 3 == 0 ? .raw : .packed))
        }
        let loaded = try load(volume, file, memories.count)
        for (memory, found) in zip(memories, loaded) {
            #expect(Bytes(found.bytes) == Bytes(memory.bytes))
        }
        // One that is damaged is an error for all that were asked for with it, and for no other.
        let key = volume.mount.schema.block(BlockAddress(data: file.data, index: BlockIndex(7)))
        let hostile = BlockFrame.packed(
            codec: codec.identifier, originalBytes: Self.block, checksum: 7, epoch: 0
        ).header.bytes
        _ = try volume.store.commit(Batch(mutations: [.set(key: key, value: hostile + [1, 2])]))
        #expect(throws: Errno.ioError) { try load(volume, file, memories.count) }
        #expect(throws: Errno.ioError) { try volume.read(file.data, 7) }
        #expect(try load(volume, file, 7).count == 7)
    }

    @Test func `a file that does not shrink stops being tried, until a probe shrinks`() throws {
        let volume = try TestVolume { $0.codec = .zlib(level: 9) }
        let file = try volume.file("a")
        let tried = { volume.metrics.value(of: .blocksIncompressible) }
        let untried = { volume.metrics.value(of: .blocksNotTried) }
        let interval = CompressionHistory.probeInterval
        let patience = CompressionHistory.patience
        for index in 0..<patience + interval {
            let forms = try store(volume, file, from: UInt64(index), [random(UInt64(index))])
            #expect(forms == [.raw])
        }
        #expect(tried() == UInt64(patience + 1))
        #expect(untried() == UInt64(interval - 1))
        var index = UInt64(patience + interval)
        let compressible = BlockMemory(Self.block, filledWith: 65)
        let forms = try (0..<interval + 4).map { _ in
            defer { index += 1 }
            return try store(volume, file, from: index, [compressible])[0]
        }
        #expect(forms.prefix(interval - 1).allSatisfy { $0 == .raw })
        #expect(forms.dropFirst(interval - 1).allSatisfy { $0 == .packed })
        // Another file is judged for itself.
        let other = try volume.file("b")
        #expect(try store(volume, other, from: 0, [compressible]) == [.packed])
    }

    @Test func `a file with a codec of its own is packed with it, and without when it says so`()
        throws
    {
        let volume = try TestVolume { $0.codec = .lz4 }
        let plain = try volume.file("plain")
        let memory = BlockMemory(Self.block, filledWith: 65)
        #expect(try store(volume, plain, from: 0, [memory]) == [.packed])
        try volume.mount.setCodec(plain.id, Codec.none, mode: .createOrReplace, time: time(20))
        #expect(try store(volume, plain, from: 1, [memory]) == [.raw])
        try volume.mount.setCodec(plain.id, .zlib(level: 9), mode: .replace, time: time(21))
        #expect(try store(volume, plain, from: 2, [memory]) == [.packed])
        #expect(
            try (0..<3).map { try frame(volume, plain, $0).codec } == [
                Codec.lz4Identifier, Codec.noneIdentifier, Codec.zlibIdentifier,
            ])
        for loaded in try load(volume, plain, 3) {
            #expect(Bytes(loaded.bytes) == Bytes(memory.bytes))
        }
        // Another mount sees it, too, and stores accordingly.
        #expect(try volume.second().record(of: plain.id).codec == .zlib(level: 9))
        try volume.mount.setCodec(plain.id, nil, mode: .createOrReplace, time: time(22))
        #expect(try store(volume, plain, from: 3, [memory]) == [.packed])
        #expect(try frame(volume, plain, 3).codec == Codec.lz4Identifier)
        #expect(throws: Errno.noAttribute) {
            try volume.mount.setCodec(plain.id, nil, mode: .createOrReplace, time: time(23))
        }
        #expect(throws: Errno.noAttribute) {
            try volume.mount.setCodec(plain.id, .lz4, mode: .replace, time: time(23))
        }
        #expect(try volume.inode(plain.id)["c"] == "22")
    }

    @Test func `on a volume without a codec a file can have one`() throws {
        let volume = try TestVolume()
        var new = NewInode.file()
        new.codec = .lz4
        let file = try volume.mount.create(in: .root, name: .name("a"), new)
        let memory = BlockMemory(Self.block, filledWith: 65)
        #expect(try store(volume, file, from: 0, [memory]) == [.packed])
        // A partial change of a packed block is merged, and packed again.
        memory.bytes[7] = 66
        let outcome = try volume.mount.store(
            [
                BlockChange(
                    address: BlockAddress(data: file.data, index: BlockIndex(0)), ranges: [7..<8],
                    memory: UnsafeRawBufferPointer(memory.bytes), isWholeKnown: false,
                    contentEnd: Self.block, form: .unknown)
            ], of: file.id, then: nil)
        #expect(outcome.forms == [.packed])
        #expect(Bytes(try load(volume, file, 1)[0].bytes) == Bytes(memory.bytes))
    }

    private func frame(
        _ volume: TestVolume, _ file: InodeRecord, _ index: UInt64
    ) throws -> (codec: UInt8, count: Int) {
        let key = volume.mount.schema.block(
            BlockAddress(data: file.data, index: BlockIndex(index)))
        guard case .value(let value?) = try volume.store.read([.value(key: key)])[0] else {
            throw Errno.noEntry
        }
        return (codec: value[3], count: value.count)
    }
}
