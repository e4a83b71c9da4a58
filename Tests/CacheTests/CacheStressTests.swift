import Glibc
import Primitives
import TestSupport
import Testing

@testable import Cache

/// Several files whose true content is kept as plain bytes, changed through a cache by many threads.
///
/// As in the real caller, a file's stripe is held exclusively to write, truncate and discard, and shared to
/// read; a flush and a truncation exclude each other; invalidations hold nothing.
private final class Model: @unchecked Sendable {
    static let fileCount = 5
    static let blocksPerFile = 24
    static let blockBytes = 4_096
    static let fileBytes = blocksPerFile * blockBytes

    struct File {
        var data: DataID
        /// The true content. Guarded by the file's stripe.
        var bytes = [UInt8](repeating: 0, count: Model.fileBytes)
        /// Blocks that were written since they were last certainly absent. Guarded by the file's stripe.
        var everWritten: Set<UInt64> = []
    }

    let fixture: Fixture
    let stripes = StripedLocks(count: 64)
    /// Taken after `stripes`. Without it a truncation, which reads a stored block and writes it back cut,
    /// would lose what a flush stores in between.
    let flushStripes = StripedLocks(count: 64)
    // SAFETY: each element is touched under its file's stripe only.
    let files: UnsafeMutablePointer<File>
    private let nextData = Locked<UInt64>(1_000)
    private let problems = Locked<[String]>([])

    init(fixture: Fixture) {
        self.fixture = fixture
        files = .allocate(capacity: Self.fileCount)
        for index in 0..<Self.fileCount {
            (files + index).initialize(to: File(data: DataID(UInt64(100 + index))))
        }
    }

    deinit {
        files.deinitialize(count: Self.fileCount)
        files.deallocate()
    }

    var complaints: [String] { problems.withLock { $0 } }
    func complain(_ text: String) { problems.withLock { $0.append(text) } }

    static func owner(_ file: Int) -> InodeID { InodeID(UInt64(10 + file)) }

    func address(_ file: Int, _ block: UInt64) -> BlockAddress {
        BlockAddress(data: files[file].data, index: BlockIndex(block))
    }

    /// Pieces that cover `range` of a file.
    func pieces(_ file: Int, _ range: Range<Int>) -> [BlockPiece] {
        var result: [BlockPiece] = []
        var position = range.lowerBound
        while position < range.upperBound {
            let block = position / Self.blockBytes
            let end = min(range.upperBound, (block + 1) * Self.blockBytes)
            result.append(
                BlockPiece(
                    address: address(file, UInt64(block)),
                    range: position - block * Self.blockBytes..<end - block * Self.blockBytes))
            position = end
        }
        return result
    }

    // MARK: What threads do

    func write(_ file: Int, _ range: Range<Int>, _ generator: inout SeededRandom) {
        do throws(Errno) {
            try fixture.cache.throttle(incoming: range.count)
        } catch {
            complain("throttle: \(error)")
        }
        let bytes = generator.bytes(range.count)
        let isZeros = Int.random(in: 0..<8, using: &generator) == 0
        stripes.withExclusive(Self.owner(file)) {
            var offset = 0
            for piece in pieces(file, range) {
                let block = piece.address.index.rawValue
                let isFirst = files[file].everWritten.insert(block).inserted
                do {
                    if isZeros {
                        try fixture.cache.writeZeros(
                            piece.address, owner: Self.owner(file), range: piece.range,
                            baseIsAbsent: isFirst)
                    } else {
                        try bytes.withUnsafeBytes { raw in
                            try fixture.cache.write(
                                piece.address, owner: Self.owner(file), at: piece.range.lowerBound,
                                bytes: UnsafeRawBufferPointer(
                                    rebasing: raw[offset..<offset + piece.range.count]),
                                baseIsAbsent: isFirst)
                        }
                    }
                } catch {
                    complain("write: \(error)")
                }
                offset += piece.range.count
            }
            if isZeros {
                files[file].bytes.replaceSubrange(
                    range, with: [UInt8](repeating: 0, count: range.count))
            } else {
                files[file].bytes.replaceSubrange(range, with: bytes)
            }
        }
    }

    func read(_ file: Int, _ range: Range<Int>, _ generator: inout SeededRandom) {
        let aheadCount = UInt64.random(in: 0...4, using: &generator)
        stripes.withShared(Self.owner(file)) {
            let pieces = pieces(file, range)
            let next = UInt64(range.upperBound / Self.blockBytes) + 1
            let ahead = (next..<next + aheadCount).filter { $0 < Self.blocksPerFile }
            var pins: [PinnedBlock] = []
            do {
                if pieces.count == 1,
                    let pin = fixture.cache.pin(pieces[0].address, pieces[0].range)
                {
                    pins = [pin]
                } else {
                    pins = try fixture.cache.pinLoading(
                        pieces, ahead: ahead.map { address(file, $0) })
                }
            } catch {
                complain("read: \(error)")
                return
            }
            var position = range.lowerBound
            for (piece, pin) in zip(pieces, pins) {
                let start = position
                let isRight = files[file].bytes.withUnsafeBytes { expected in
                    guard let wanted = expected.baseAddress, let found = pin.bytes.baseAddress
                    else { return false }
                    return memcmp(
                        wanted + start, found + piece.range.lowerBound, piece.range.count) == 0
                }
                if !isRight {
                    complain("file \(file): \(piece) reads wrong bytes")
                }
                position += piece.range.count
                fixture.cache.unpin(pin)
            }
        }
    }

    func truncate(_ file: Int, to size: Int) {
        stripes.withExclusive(Self.owner(file)) {
            flushStripes.withExclusive(Self.owner(file)) { cut(file, to: size) }
        }
    }

    private func cut(_ file: Int, to size: Int) {
        let block = size / Self.blockBytes
        let keeping = size % Self.blockBytes
        fixture.cache.truncate(
            files[file].data, owner: Self.owner(file), to: BlockIndex(UInt64(block)),
            keeping: keeping, blockCount: UInt64(Self.blocksPerFile))
        defer {
            // The store has changed: what was prefetched before that is forgotten, too. (The volume
            // has flushed and keeps flushes away, so it tells the store first and the cache once.)
            fixture.cache.truncate(
                files[file].data, owner: Self.owner(file), to: BlockIndex(UInt64(block)),
                keeping: keeping, blockCount: UInt64(Self.blocksPerFile))
        }
        let firstDropped = keeping == 0 ? block : block + 1
        for index in firstDropped..<max(firstDropped, Self.blocksPerFile) {
            fixture.store.drop(address(file, UInt64(index)))
            files[file].everWritten.remove(UInt64(index))
        }
        if keeping > 0, let stored = fixture.store.stored(address(file, UInt64(block))) {
            fixture.store.put(
                address(file, UInt64(block)), Array(stored.bytes.prefix(keeping)),
                form: .raw)
        }
        files[file].bytes.replaceSubrange(
            size..., with: [UInt8](repeating: 0, count: Self.fileBytes - size))
    }

    /// The file becomes empty under another data id, as with O_TRUNC.
    func discard(_ file: Int) {
        stripes.withExclusive(Self.owner(file)) {
            fixture.cache.discard(
                files[file].data, owner: Self.owner(file), blockCount: UInt64(Self.blocksPerFile))
            for index in 0..<UInt64(Self.blocksPerFile) { fixture.store.drop(address(file, index)) }
            let data = nextData.withLock { next in
                next += 1
                return next
            }
            files[file] = File(data: DataID(data))
        }
    }

    /// One flush as the volume makes it; some fail, a few of those after all was stored.
    func flush(_ owner: InodeID, _ generator: inout SeededRandom) {
        flushStripes.withExclusive(owner) { flushHoldingStripe(owner, &generator) }
    }

    private func flushHoldingStripe(_ owner: InodeID, _ generator: inout SeededRandom) {
        let limit = Int.random(in: 1...16, using: &generator) * Self.blockBytes
        let blocks: [DirtyBlock]
        do {
            blocks = try fixture.cache.takeDirty(owner: owner, limitBytes: limit)
        } catch {
            complain("takeDirty: \(error)")
            return
        }
        if blocks.isEmpty { return }
        let outcome = Int.random(in: 0..<60, using: &generator)
        if outcome == 0 {
            fixture.cache.flushFailed(blocks, .ioError)
            return
        }
        let form: StoredForm = Bool.random(using: &generator) ? .raw : .packed
        let forms = blocks.map { fixture.store.store($0, as: form) }
        // It may fail after it was stored.
        if outcome == 1 {
            fixture.cache.flushFailed(blocks, .ioError)
        } else {
            fixture.cache.finishFlush(blocks, forms: forms)
        }
    }

    /// Another mount changes a block that this one has stored.
    func changeElsewhere(_ file: Int, _ block: UInt64, _ generator: inout SeededRandom) {
        stripes.withExclusive(Self.owner(file)) {
            while fixture.cache.dirtyBytes(of: Self.owner(file)) > 0 {
                flush(Self.owner(file), &generator)
            }
            // What is not dirty now stays so: writers need the stripe. A flush may still be in flight
            // for nothing; an empty answer says that it is over.
            do {
                guard
                    try fixture.cache.takeDirty(owner: Self.owner(file), limitBytes: 1).isEmpty
                else {
                    complain("dirty under an exclusive stripe")
                    return
                }
            } catch {
                complain("takeDirty: \(error)")
            }
            let bytes = generator.bytes(Self.blockBytes)
            fixture.store.put(
                address(file, block), bytes, form: Bool.random(using: &generator) ? .raw : .packed)
            files[file].everWritten.insert(block)
            let start = Int(block) * Self.blockBytes
            files[file].bytes.replaceSubrange(start..<start + Self.blockBytes, with: bytes)
            fixture.cache.invalidate(files[file].data, blocks: block..<block + 1)
        }
    }

    func step(_ generator: inout SeededRandom) {
        let file = Int.random(in: 0..<Self.fileCount, using: &generator)
        let start = Int.random(in: 0..<Self.fileBytes, using: &generator)
        let longest = [1, 100, 5_000, 40_000][Int.random(in: 0..<4, using: &generator)]
        let end = min(Self.fileBytes, start + Int.random(in: 1...longest, using: &generator))
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<40: write(file, start..<end, &generator)
        case 40..<85: read(file, start..<end, &generator)
        case 85..<89: flush(Self.owner(file), &generator)
        case 89..<91: truncate(file, to: start)
        case 91: discard(file)
        case 92..<95:
            changeElsewhere(file, UInt64(start / Self.blockBytes), &generator)
        case 95..<97:
            let data = stripes.withShared(Self.owner(file)) { files[file].data }
            let block = UInt64(start / Self.blockBytes)
            fixture.cache.invalidate(
                data, blocks: Bool.random(using: &generator) ? nil : block..<block + 3)
        case 97: fixture.cache.invalidateAll()
        default:
            let addresses = stripes.withShared(Self.owner(file)) {
                (0..<4).map { address(file, UInt64(start / Self.blockBytes + $0)) }
            }
            fixture.cache.prefetch(addresses.filter { $0.index.rawValue < Self.blocksPerFile })
        }
    }

    func finish() {
        fixture.cache.stop()
        var generator = SeededRandom(seed: 1)
        for file in 0..<Self.fileCount {
            while fixture.cache.dirtyBytes(of: Self.owner(file)) > 0 {
                flush(Self.owner(file), &generator)
            }
            read(file, 0..<Self.fileBytes, &generator)
            for block in 0..<Self.blocksPerFile {
                let start = block * Self.blockBytes
                let expected = Array(files[file].bytes[start..<start + Self.blockBytes])
                if fixture.store.content(address(file, UInt64(block))) != expected {
                    complain("file \(file): block \(block) is stored wrong")
                }
            }
        }
    }
}

@Suite(.serialized) struct CacheStressTests {
    @Test(arguments: [8, 40, 400])
    func `many threads read, write, flush, cut and invalidate, and no byte is wrong`(blocks: Int)
        throws
    {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed), \(blocks) blocks")
        let fixture = try Fixture(
            blockBytes: Model.blockBytes, blocks: blocks, dirtyLimit: 30 * Model.blockBytes,
            ageMilliseconds: 5)
        let model = Model(fixture: fixture)
        let flushSeeds = Locked(SeededRandom(seed: seed))
        fixture.cache.startFlusher { owner in
            var generator = SeededRandom(seed: flushSeeds.withLock { $0.next() })
            model.flush(owner, &generator)
        }
        let threads = (0..<6).map { index in
            TestThread(name: "stress-\(index)") {
                var generator = SeededRandom(seed: seed &+ UInt64(index))
                for _ in 0..<1_000 { model.step(&generator) }
            }
        }
        for thread in threads { thread.join() }
        model.finish()
        #expect(model.complaints.isEmpty, "seed \(seed)")
        #expect(fixture.cache.usedBytes <= fixture.cache.capacityBytes)
        fixture.expectNothingIsLeaked()
    }
}
