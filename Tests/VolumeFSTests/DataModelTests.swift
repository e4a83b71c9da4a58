import Codecs
import FileSystem
import Foundation
import Primitives
import TestSupport
import Testing
import VolumeFS

/// Random writes, reads, truncations, syncs, reopenings and remounts of a few files must agree with
/// plain byte arrays.
@Suite struct DataModelTests {
    struct Shape: Sendable, CustomStringConvertible {
        let store: StoreKind
        let codec: String
        let blockKiB: Int

        var description: String { "\(store.rawValue), \(codec), \(blockKiB) KiB" }
    }

    static let shapes: [Shape] = StoreKind.allCases.flatMap { store in
        ["none", "lz4", "zlib:1"].flatMap { codec in
            [4, 124, 1_024].map { Shape(store: store, codec: codec, blockKiB: $0) }
        }
    }

    /// How many sequences of operations are tried, each with a seed of its own, where the store is slow.
    private static let rounds = number("APUSFS_TEST_SEEDS") ?? 1
    /// The first of the seeds.
    private static let seed = number("APUSFS_TEST_SEED") ?? UInt64.random(in: 1 ... .max)

    private static func number(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    @Test(arguments: shapes)
    func `random operations agree with byte arrays`(_ shape: Shape) throws {
        try run(shape, seed: Self.seed, steps: 250, delays: nil)
    }

    /// What runs in the background is late, and meets more of what the programs do meanwhile.
    @Test(arguments: shapes.filter { $0.store == .memory })
    func `random operations agree with byte arrays, however late the store answers`(
        _ shape: Shape
    ) throws {
        for round in 0..<Self.rounds {
            let seed = Self.seed &+ round
            try run(shape, seed: seed, steps: 100, delays: StoreDelays(seed: seed))
        }
    }

    private func run(_ shape: Shape, seed: UInt64, steps: Int, delays: StoreDelays?) throws {
        var random = SeededRandom(seed: seed)
        var options = VolumeOptions()
        // Room for few blocks, so that eviction and flushing under pressure take part; for fewer than the
        // files have, where blocks shall be loaded again while much is under way.
        options.cacheBytes =
            delays == nil
            ? max(16 * shape.blockKiB * 1_024, 1 << 20) : 8 * shape.blockKiB * 1_024
        options.flushIntervalMilliseconds = 20
        let codec = try #require(Codec(name: shape.codec))
        let harness = try VolumeHarness(
            store: shape.store, codec: codec, blockSize: shape.blockKiB * 1_024, options: options,
            delays: delays)
        defer { harness.unmount() }
        var model = DataModel(harness: harness, blockBytes: shape.blockKiB * 1_024)
        do {
            try model.start(files: delays == nil ? 3 : 6)
            for _ in 0..<steps { try model.step(&random) }
            try model.verifyAll()
            try harness.remount()
            try model.reopenAll()
            try model.verifyAll()
        } catch {
            Issue.record("\(shape), APUSFS_TEST_SEED=\(seed), step \(model.steps): \(error)")
        }
    }
}

/// Files beside what they should hold.
struct DataModel {
    struct Mismatch: Error, CustomStringConvertible {
        let description: String
    }

    let harness: VolumeHarness
    let blockBytes: Int
    private(set) var steps = 0
    private var files: [File] = []

    private struct File {
        let inode: InodeID
        var handle: HandleID
        var bytes: [UInt8]
        /// Where the space ends that was preallocated for it, perhaps behind its end.
        var allocatedEnd = 0
        /// What was done to it, for the message of a failure.
        var history: [String] = []

        mutating func note(_ operation: String) {
            history.append(operation)
            if history.count > 24 { history.removeFirst() }
        }
    }

    init(harness: VolumeHarness, blockBytes: Int) {
        self.harness = harness
        self.blockBytes = blockBytes
    }

    mutating func start(files count: Int) throws {
        for index in 0..<count {
            let (inode, handle) = try harness.volume.create("file\(index)")
            files.append(File(inode: inode, handle: handle, bytes: []))
        }
    }

    mutating func step(_ random: inout SeededRandom) throws {
        steps += 1
        let index = Int.random(in: 0..<files.count, using: &random)
        switch Int.random(in: 0..<114, using: &random) {
        case 0..<45: try write(index, &random)
        case 45..<70: try readSome(index, &random)
        case 70..<80: try truncate(index, &random)
        case 80..<88:
            files[index].note("fsync")
            try harness.volume.fsync(files[index].inode, files[index].handle)
        case 88..<96: try reopen(index)
        case 96..<98: try checkSize(index)
        case 98..<104: try allocate(index, &random)
        case 104..<109: try copy(to: index, &random)
        case 109..<112: try checkHoles(index)
        default:
            try harness.remount()
            try reopenAll()
        }
    }

    private func maximumSize() -> Int { 5 * blockBytes / 2 + 10_000 }

    private mutating func write(_ index: Int, _ random: inout SeededRandom) throws {
        let offset = Int.random(in: 0..<maximumSize(), using: &random)
        let longest = Bool.random(using: &random) ? 6_000 : blockBytes * 3 / 2
        let count = Int.random(in: 1...longest, using: &random)
        let bytes = random.content(count: count)
        files[index].note("write \(offset)+\(count)")
        try harness.volume.write(
            bytes, to: files[index].inode, files[index].handle, at: UInt64(offset))
        if files[index].bytes.count < offset + count {
            let missing = offset + count - files[index].bytes.count
            files[index].bytes.append(contentsOf: repeatElement(0, count: missing))
        }
        files[index].bytes.replaceSubrange(offset..<offset + count, with: bytes)
    }

    private mutating func readSome(_ index: Int, _ random: inout SeededRandom) throws {
        let file = files[index]
        let offset = Int.random(in: 0..<maximumSize(), using: &random)
        let count = Int.random(in: 1...(1 << 20), using: &random)
        try compare(file, offset: offset, count: count)
        files[index].note("read \(offset)+\(count)")
    }

    private func compare(_ file: File, offset: Int, count: Int) throws {
        let found = try harness.volume.read(
            file.inode, file.handle, at: UInt64(offset), count: count)
        let end = min(file.bytes.count, offset + count)
        let expected = offset < end ? Array(file.bytes[offset..<end]) : []
        guard found != expected else { return }
        let differing = zip(found, expected).enumerated().filter { $0.element.0 != $0.element.1 }
        let first = differing.first?.offset ?? 0
        throw Mismatch(
            description: """
                inode \(file.inode) from \(offset): \(found.count) bytes, expected \
                \(expected.count); \(differing.count) differ, first at \(offset + first): \
                \(found.dropFirst(first).prefix(8)), expected \
                \(expected.dropFirst(first).prefix(8)), last at \
                \(offset + (differing.last?.offset ?? 0)); \
                before: \(file.history.joined(separator: "; "))
                """)
    }

    private mutating func truncate(_ index: Int, _ random: inout SeededRandom) throws {
        let size =
            Int.random(in: 0..<4, using: &random) == 0
            ? 0 : Int.random(in: 0..<maximumSize(), using: &random)
        files[index].note("truncate \(size)")
        try harness.volume.truncate(files[index].inode, to: UInt64(size))
        if size <= files[index].bytes.count {
            if size < files[index].bytes.count {
                files[index].allocatedEnd = min(files[index].allocatedEnd, size)
            }
            files[index].bytes.removeSubrange(size...)
        } else {
            let missing = size - files[index].bytes.count
            files[index].bytes.append(contentsOf: repeatElement(0, count: missing))
        }
    }

    /// Punches, clears or preallocates a range.
    private mutating func allocate(_ index: Int, _ random: inout SeededRandom) throws {
        let offset = Int.random(in: 0..<maximumSize(), using: &random)
        let count = Int.random(in: 1...2 * blockBytes, using: &random)
        let mode = [0, 1, 3, 16, 17].randomElement(using: &random) ?? 0
        try harness.volume.allocate(
            files[index].inode, files[index].handle, mode: Int32(mode), at: UInt64(offset),
            count: UInt64(count))
        if mode == 0 || mode == 16 { grow(index, to: offset + count) }
        if mode != 3 {
            files[index].allocatedEnd = max(files[index].allocatedEnd, offset + count)
        }
        let end = min(offset + count, files[index].bytes.count)
        if mode > 1, offset < end {
            files[index].bytes.replaceSubrange(
                offset..<end, with: repeatElement(0, count: end - offset))
        }
    }

    private mutating func grow(_ index: Int, to size: Int) {
        let missing = size - files[index].bytes.count
        if missing > 0 { files[index].bytes.append(contentsOf: repeatElement(0, count: missing)) }
    }

    /// Copies from another file; half of the time to where it stood, in blocks.
    private mutating func copy(to index: Int, _ random: inout SeededRandom) throws {
        let source = (index + 1) % files.count
        let offset = Int.random(in: 0..<maximumSize(), using: &random)
        let isAligned = Bool.random(using: &random)
        let target = isAligned ? offset : Int.random(in: 0..<maximumSize(), using: &random)
        let count = Int.random(in: 1...3 * blockBytes, using: &random)
        let copied = try harness.volume.copy(
            (files[source].inode, files[source].handle, UInt64(offset)),
            (files[index].inode, files[index].handle, UInt64(target)), count: UInt64(count))
        let bytes = files[source].bytes.dropFirst(offset).prefix(count)
        guard copied <= bytes.count, copied > 0 || bytes.isEmpty else {
            throw Mismatch(description: "copied \(copied) of \(bytes.count) bytes")
        }
        guard copied > 0 else { return }
        grow(index, to: target + copied)
        files[index].bytes.replaceSubrange(
            target..<target + copied, with: bytes.prefix(copied))
    }

    /// What is said to be a hole must be zeros, and `st_blocks` no more than the file can have.
    private func checkHoles(_ index: Int) throws {
        let file = files[index]
        var position: UInt64 = 0
        while position < file.bytes.count {
            let hole = try harness.volume.seek(.hole, file.inode, file.handle, from: position)
            guard let hole, hole < file.bytes.count else { break }
            let data = try harness.volume.seek(.data, file.inode, file.handle, from: hole)
            let end = Int(data ?? UInt64(file.bytes.count))
            guard file.bytes[Int(hole)..<end].allSatisfy({ $0 == 0 }) else {
                throw Mismatch(description: "a hole from \(hole) to \(end) with bytes in it")
            }
            position = UInt64(end)
        }
        let attributes = try harness.volume.attributes(file.inode)
        let end = max(file.bytes.count, file.allocatedEnd)
        guard attributes.storedSectors * 512 <= end + 4_095 else {
            throw Mismatch(description: "\(attributes.storedSectors) sectors of \(end) bytes")
        }
    }

    private mutating func reopen(_ index: Int) throws {
        files[index].note("reopen")
        try harness.volume.close(files[index].inode, files[index].handle)
        files[index].handle = try harness.volume.open(files[index].inode)
    }

    mutating func reopenAll() throws {
        for index in files.indices {
            let inode = try harness.volume.lookup("file\(index)").inode
            guard inode == files[index].inode else { throw Mismatch(description: "another inode") }
            files[index].handle = try harness.volume.open(inode)
            files[index].note("remount")
        }
    }

    private func checkSize(_ index: Int) throws {
        let size = try harness.volume.attributes(files[index].inode).size
        guard size == files[index].bytes.count else {
            throw Mismatch(description: "size \(size), expected \(files[index].bytes.count)")
        }
    }

    func verifyAll() throws {
        for index in files.indices {
            try checkSize(index)
            try compare(files[index], offset: 0, count: maximumSize() * 2)
        }
    }
}
