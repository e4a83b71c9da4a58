import Cache
import Primitives
import Telemetry
import Testing

/// A store of blocks in memory whose loads a test can hold up and make fail, and which checks what a flush
/// claims about stored forms.
final class FakeStore: BlockSource {
    struct Stored: Equatable {
        var bytes: [UInt8]
        var form: StoredForm
    }

    private struct State {
        var blocks: [BlockAddress: Stored] = [:]
        var trips: [[BlockAddress]] = []
        var isHeld = false
        /// Loads that have read the store and have not returned.
        var inFlight = 0
        var failure: Errno?
        var damaged: Set<BlockAddress> = []
        var complaints: [String] = []
    }

    let blockBytes: Int
    private let state = Monitor(State())

    init(blockBytes: Int) { self.blockBytes = blockBytes }

    func load(_ requests: [BlockRequest]) throws(Errno) -> [StoredForm] {
        // What is answered is read before the trip is held up, as on a real wire.
        let (found, failure): ([Stored?], Errno?) = state.change { state in
            state.inFlight += 1
            state.trips.append(requests.map(\.address))
            let isDamaged = requests.contains { state.damaged.contains($0.address) }
            return (
                requests.map { state.blocks[$0.address] }, isDamaged ? .ioError : state.failure
            )
        }
        let _: Bool? = state.wait { $0.isHeld ? nil : true }
        state.change { $0.inFlight -= 1 }
        if let failure { throw failure }
        for (request, stored) in zip(requests, found) {
            guard request.memory.count == blockBytes else { throw .invalid }
            let bytes = stored?.bytes ?? []
            request.memory.copyBytes(from: bytes)
            UnsafeMutableRawBufferPointer(rebasing: request.memory[bytes.count...])
                .initializeMemory(as: UInt8.self, repeating: 0)
        }
        return found.map { $0?.form ?? .absent }
    }

    // What a test does to it.

    func put(_ address: BlockAddress, _ bytes: [UInt8], form: StoredForm = .raw) {
        state.change { $0.blocks[address] = Stored(bytes: bytes, form: form) }
    }

    func drop(_ address: BlockAddress) { state.change { $0.blocks[address] = nil } }

    func stored(_ address: BlockAddress) -> Stored? { state.withLock { $0.blocks[address] } }

    /// The whole block, with zeros behind what is stored.
    func content(_ address: BlockAddress) -> [UInt8] {
        let bytes = stored(address)?.bytes ?? []
        return bytes + [UInt8](repeating: 0, count: blockBytes - bytes.count)
    }

    func holdLoads() { state.change { $0.isHeld = true } }
    func releaseLoads() { state.change { $0.isHeld = false } }
    func fail(with error: Errno?) { state.change { $0.failure = error } }
    func damage(_ address: BlockAddress) { state.change { _ = $0.damaged.insert(address) } }
    func waitForLoadsInFlight(_ count: Int) {
        let _: Bool? = state.wait { $0.inFlight == count ? true : nil }
    }

    func waitForTrips(_ count: Int) {
        let _: Bool? = state.wait { $0.trips.count >= count ? true : nil }
    }

    var trips: [[BlockAddress]] { state.withLock { $0.trips } }
    var complaints: [String] { state.withLock { $0.complaints } }

    /// Stores what a flush took, as a volume store would: whole blocks are replaced, others patched.
    func store(_ block: DirtyBlock, as form: StoredForm = .raw) -> StoredForm {
        state.change { state in
            let old = state.blocks[block.address]
            if block.form != .unknown, block.form != old?.form ?? .absent {
                state.complaints.append(
                    "\(block.address): said to be \(block.form), is \(String(describing: old?.form))"
                )
            }
            var bytes: [UInt8]
            if block.isWholeKnown {
                bytes = Array(block.memory[0..<block.contentEnd])
            } else {
                bytes = old?.bytes ?? []
                for range in block.ranges {
                    if bytes.count < range.upperBound {
                        bytes += [UInt8](repeating: 0, count: range.upperBound - bytes.count)
                    }
                    bytes.replaceSubrange(range, with: block.bytes(of: range))
                }
            }
            for range in block.ranges {
                let dirty = Array(block.bytes(of: range))
                let padded =
                    bytes + [UInt8](repeating: 0, count: max(0, range.upperBound - bytes.count))
                if Array(padded[range]) != dirty {
                    state.complaints.append("\(block.address): contentEnd cuts dirty bytes off")
                }
            }
            // A patch keeps a raw block raw.
            let newForm: StoredForm = old?.form == .raw && !block.isWholeKnown ? .raw : form
            state.blocks[block.address] = Stored(bytes: bytes, form: newForm)
            return newForm
        }
    }
}

/// A cache, its store and short ways to use them.
final class Fixture: Sendable {
    let store: FakeStore
    let cache: BlockCache
    let blockBytes: Int
    static let data = DataID(70)
    static let owner = InodeID(7)

    init(
        blockBytes: Int = 4_096, blocks: Int = 64, leastBlocks: Int? = nil,
        dirtyLimit: Int = 1 << 20,
        ageMilliseconds: Int = 60_000, waitLimitMilliseconds: Int = 30_000
    ) throws {
        self.blockBytes = blockBytes
        store = FakeStore(blockBytes: blockBytes)
        cache = BlockCache(
            settings: CacheSettings(
                blockSize: try #require(BlockSize(bytes: blockBytes)),
                capacityBytes: blocks * blockBytes,
                leastCapacityBytes: leastBlocks.map { $0 * blockBytes },
                dirtyLimitBytes: dirtyLimit,
                dirtyAgeMilliseconds: ageMilliseconds,
                waitLimitMilliseconds: waitLimitMilliseconds),
            source: store, metrics: Metrics())
    }

    deinit {
        store.releaseLoads()
        cache.stop()
    }

    static func address(_ index: UInt64, data: DataID = Fixture.data) -> BlockAddress {
        BlockAddress(data: data, index: BlockIndex(index))
    }

    /// A whole block of one byte.
    func filled(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: blockBytes) }

    func write(
        _ index: UInt64, at position: Int, _ bytes: [UInt8], baseIsAbsent: Bool = false,
        owner: InodeID = Fixture.owner, data: DataID = Fixture.data
    ) throws {
        try bytes.withUnsafeBytes { raw in
            try cache.write(
                Self.address(index, data: data), owner: owner, at: position, bytes: raw,
                baseIsAbsent: baseIsAbsent)
        }
    }

    /// What the cache knows without a trip; `nil` when it does not.
    func cached(_ index: UInt64, _ range: Range<Int>? = nil) -> [UInt8]? {
        let range = range ?? 0..<blockBytes
        guard let pin = cache.pin(Self.address(index), range) else { return nil }
        defer { cache.unpin(pin) }
        return Array(pin.bytes[range])
    }

    func read(
        _ index: UInt64, _ range: Range<Int>? = nil, ahead: [UInt64] = []
    ) throws -> [UInt8] {
        let range = range ?? 0..<blockBytes
        let pins = try cache.pinLoading(
            [BlockPiece(address: Self.address(index), range: range)],
            ahead: ahead.map { Self.address($0) })
        defer { for pin in pins { cache.unpin(pin) } }
        return Array(pins[0].bytes[range])
    }

    func take(_ limit: Int = .max, owner: InodeID = Fixture.owner) throws -> [DirtyBlock] {
        try cache.takeDirty(owner: owner, limitBytes: limit)
    }

    /// Stores everything dirty of an owner; returns how many blocks that were.
    @discardableResult
    func flush(owner: InodeID = Fixture.owner, as form: StoredForm = .raw) throws -> Int {
        let blocks = try take(owner: owner)
        let forms = blocks.map { store.store($0, as: form) }
        cache.finishFlush(blocks, forms: forms)
        return blocks.count
    }

    /// Everything clean goes; then all block memory must be free.
    func expectNothingIsLeaked(sourceLocation: SourceLocation = #_sourceLocation) {
        cache.invalidateAll()
        #expect(cache.usedBytes == 0, "block memory is leaked", sourceLocation: sourceLocation)
        #expect(cache.dirtyBytes == 0, sourceLocation: sourceLocation)
        #expect(store.complaints.isEmpty, sourceLocation: sourceLocation)
    }
}
