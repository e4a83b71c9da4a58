import Glibc
import Primitives
import TestSupport

/// A sequence of random operations on a few files and on arrays that must hold the same bytes. Offsets lie
/// often at the edges of blocks and pages; bytes are such that a codec can shrink some and others not.
struct RandomFileProgram {
    private static let fileCount = 3

    private let directory: String
    private let blockBytes: Int
    private let maximumSize: Int
    private var random: SeededRandom
    private var models: [[UInt8]]
    private var files: [Descriptor] = []

    init(directory: String, seed: UInt64, blockBytes: Int) throws(Errno) {
        self.directory = directory
        self.blockBytes = blockBytes
        maximumSize = min(max(6 * blockBytes, 400_000), 4 << 20)
        random = SeededRandom(seed: seed)
        models = [[UInt8]](repeating: [], count: Self.fileCount)
        try openAll()
    }

    mutating func openAll() throws(Errno) {
        files = []
        for index in 0..<Self.fileCount {
            files.append(try Descriptor(path(index), O_RDWR | O_CREAT))
        }
    }

    mutating func closeAll() { files = [] }

    /// The files that do not hold what their models do, read anew.
    func mismatches() throws(Errno) -> [String] {
        var found: [String] = []
        for (index, model) in models.enumerated() {
            let bytes = try SystemCall.readFile(path(index))
            if bytes != model { found.append(difference(index, bytes, from: 0, model)) }
        }
        return found
    }

    /// One operation; what disagrees with the model, if anything does.
    mutating func step() throws(Errno) -> String? {
        let index = Int(random.next() % UInt64(Self.fileCount))
        switch random.next() % 19 {
        case 0...5: try write(index)
        case 6...9: return try read(index)
        case 10: try truncate(index)
        case 11: try storeMapped(index)
        case 12: return try readMapped(index)
        case 13: try files[index].sync()
        case 14: try reopen(index)
        case 15, 16: try clear(index)
        case 17: try copy(to: index)
        default: return try checkSize(index)
        }
        return nil
    }

    // MARK: Operations

    private mutating func write(_ index: Int) throws(Errno) {
        let offset = offset(upTo: maximumSize)
        let bytes = bytes(count: count(upTo: maximumSize - offset))
        guard !bytes.isEmpty else { return }
        try files[index].write(bytes, at: offset)
        grow(index, to: offset + bytes.count)
        models[index].replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private mutating func read(_ index: Int) throws(Errno) -> String? {
        let offset = offset(upTo: maximumSize)
        let count = count(upTo: maximumSize)
        let got = try files[index].read(count, at: offset)
        let size = models[index].count
        let wanted = Array(models[index][min(offset, size)..<min(offset + count, size)])
        return got == wanted ? nil : difference(index, got, from: offset, wanted)
    }

    private mutating func truncate(_ index: Int) throws(Errno) {
        let size = offset(upTo: maximumSize)
        if random.next().isMultiple(of: 3) {
            try SystemCall.truncate(path(index), size)
        } else {
            try files[index].truncate(size)
        }
        if size < models[index].count {
            models[index].removeLast(models[index].count - size)
        } else {
            grow(index, to: size)
        }
    }

    /// Punches a hole, or clears a range with or without growing the file.
    private mutating func clear(_ index: Int) throws(Errno) {
        let offset = offset(upTo: maximumSize)
        let count = count(upTo: maximumSize - offset)
        guard count > 0 else { return }
        let grows = random.next().isMultiple(of: 3)
        try files[index].allocate(
            grows ? [.zeroRange] : [.punchHole, .keepSize], at: offset, count: count)
        if grows { grow(index, to: offset + count) }
        let end = min(offset + count, models[index].count)
        guard offset < end else { return }
        models[index].replaceSubrange(
            offset..<end, with: repeatElement(0, count: end - offset))
    }

    /// Copies from another file, half of the time to where it stands there.
    private mutating func copy(to index: Int) throws(Errno) {
        let source = (index + 1) % Self.fileCount
        let offset = offset(upTo: maximumSize)
        let target = random.next().isMultiple(of: 2) ? offset : self.offset(upTo: maximumSize)
        let count = count(upTo: maximumSize - max(offset, target))
        let wanted = Array(models[source].dropFirst(offset).prefix(count))
        var done = 0
        while done < wanted.count {
            let copied = try files[index].copy(
                from: files[source], at: offset + done, to: target + done,
                count: wanted.count - done)
            guard copied > 0 else { throw .ioError }
            done += copied
        }
        guard !wanted.isEmpty else { return }
        grow(index, to: target + wanted.count)
        models[index].replaceSubrange(target..<target + wanted.count, with: wanted)
    }

    /// Stores through a shared mapping within the file; half of the time without msync.
    private mutating func storeMapped(_ index: Int) throws(Errno) {
        let size = models[index].count
        guard size > 0 else { return }
        let offset = min(offset(upTo: size), size - 1)
        let bytes = bytes(count: min(count(upTo: size - offset), 100_000))
        let mapping = try Mapping(files[index], count: size)
        mapping.bytes[offset..<offset + bytes.count].copyBytes(from: bytes)
        if random.next().isMultiple(of: 2) { try mapping.sync() }
        models[index].replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private mutating func readMapped(_ index: Int) throws(Errno) -> String? {
        let size = models[index].count
        guard size > 0 else { return nil }
        let mapping = try Mapping(files[index], count: size, protection: PROT_READ)
        let got = Array(mapping.bytes)
        return got == models[index] ? nil : difference(index, got, from: 0, models[index])
    }

    private mutating func reopen(_ index: Int) throws(Errno) {
        try files[index].close()
        let isEmptied = random.next().isMultiple(of: 4)
        files[index] = try Descriptor(path(index), O_RDWR | (isEmptied ? O_TRUNC : 0))
        if isEmptied { models[index] = [] }
    }

    private func checkSize(_ index: Int) throws(Errno) -> String? {
        let size = try files[index].status().st_size
        let wanted = models[index].count
        return size == wanted ? nil : "file \(index) has \(size) bytes and should have \(wanted)"
    }

    // MARK: Choices

    /// Anywhere, or within two bytes of an edge of a block or a page.
    private mutating func offset(upTo limit: Int) -> Int {
        let anywhere = Int(random.next() % UInt64(limit + 1))
        let edge: Int
        switch random.next() % 3 {
        case 0: return anywhere
        case 1: edge = anywhere / blockBytes * blockBytes
        default: edge = anywhere / 4_096 * 4_096
        }
        return min(max(0, edge + Int(random.next() % 5) - 2), limit)
    }

    /// Mostly small, now and then several blocks.
    private mutating func count(upTo limit: Int) -> Int {
        let scale: Int
        switch random.next() % 6 {
        case 0...2: scale = 200
        case 3: scale = 4_096
        case 4: scale = blockBytes
        default: scale = 3 * blockBytes
        }
        return min(limit, 1 + Int(random.next() % UInt64(scale)))
    }

    private mutating func bytes(count: Int) -> [UInt8] {
        let seed = random.next()
        switch seed % 4 {
        case 0: return [UInt8](repeating: 0, count: count)
        case 1: return Bytes.text(count, seed: seed)
        default: return Bytes.pattern(count, seed: seed)
        }
    }

    private mutating func grow(_ index: Int, to size: Int) {
        let missing = size - models[index].count
        if missing > 0 { models[index] += [UInt8](repeating: 0, count: missing) }
    }

    private func path(_ index: Int) -> String { "\(directory)/random-\(index)" }

    private func difference(
        _ index: Int, _ got: [UInt8], from offset: Int, _ wanted: [UInt8]
    ) -> String {
        let same = zip(got, wanted).prefix { $0 == $1 }.count
        return "file \(index): \(got.count) bytes from \(offset), wanted \(wanted.count); "
            + "they differ from byte \(offset + same) on"
    }
}
