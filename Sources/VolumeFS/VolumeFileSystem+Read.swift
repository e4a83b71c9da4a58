import Cache
public import FileSystem
public import Primitives
import Telemetry
import VolumeStore

extension VolumeFileSystem {
    public func read(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, count: Int,
        sink: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Void
    ) throws(Errno) {
        let file = try files.item(handle)
        let state = file.state
        if file.options.contains(.direct), !store.isAlone {
            try prove(state, openedBy: nil)
        } else {
            try refresh(state)
        }
        // Room for as many pins as the request has pieces: on the stack for all but tiny blocks.
        let room = RequestPlan(offset: offset, count: count, blockSize: blockSize).pieceCount
        var failure: Errno?
        withUnsafeTemporaryAllocation(of: PinnedBlock.self, capacity: room) { pins in
            withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: room) {
                parts in
                do throws(Errno) {
                    let filled = try stripes.withShared(inode) { () throws(Errno) -> Int in
                        try pinPieces(
                            of: file, offset: offset, count: count, pins: pins, parts: parts)
                    }
                    sink(UnsafeBufferPointer(rebasing: parts[..<filled]))
                    for index in 0..<filled { cache.unpin(pins[index]) }
                    pins[..<filled].deinitialize()
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
    }

    /// Pins what a request reads and writes down where it lies. Returns how many pieces there are. The
    /// caller holds the inode's stripe.
    private func pinPieces(
        of file: OpenFile, offset: FileOffset, count: Int,
        pins: UnsafeMutableBufferPointer<PinnedBlock>,
        parts: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>
    ) throws(Errno) -> Int {
        let (data, size, oldEnd) = file.state.withFacts { facts in
            if !file.options.contains(.direct), !file.isDirect {
                facts.noteKernelPages(to: offset.bytes + UInt64(count))
                facts.pageDoubt?.noteRead(offset.bytes..<offset.bytes + UInt64(count))
            }
            return (facts.record.data, facts.record.size, facts.oldEnd.pending)
        }
        if let oldEnd { dropOldEnd(of: file.state, from: oldEnd) }
        guard offset.bytes < size else { return 0 }
        let readable = Int(min(UInt64(count), size - offset.bytes))
        metrics.add(.readBytes, UInt64(readable))
        noteAccess(file.state)
        let ahead = file.readAhead.withLock {
            $0.decide(offset: offset, count: readable, blockSize: blockSize, fileSize: size)
        }
        let plan = RequestPlan(offset: offset, count: readable, blockSize: blockSize)
        var filled = 0
        for piece in plan {
            let address = BlockAddress(data: data, index: piece.index)
            guard let pin = cache.pin(address, piece.range) else { break }
            pins.initializeElement(at: filled, to: pin)
            parts[filled] = UnsafeRawBufferPointer(rebasing: pin.bytes[piece.range])
            filled += 1
        }
        if filled == plan.pieceCount {
            if let ahead {
                cache.prefetch(ahead.map { BlockAddress(data: data, index: .init($0)) })
            }
            return filled
        }
        for index in 0..<filled { cache.unpin(pins[index]) }
        pins[..<filled].deinitialize()
        return try loadPieces(plan, of: data, ahead: ahead, pins: pins, parts: parts)
    }

    /// The slow case: something of the request is not in the cache. One trip for all that is missing
    /// and the first part of the read-ahead window; the rest of the window follows by itself.
    private func loadPieces(
        _ plan: RequestPlan, of data: DataID, ahead: Range<UInt64>?,
        pins: UnsafeMutableBufferPointer<PinnedBlock>,
        parts: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>
    ) throws(Errno) -> Int {
        let pieces = plan.map {
            BlockPiece(address: BlockAddress(data: data, index: $0.index), range: $0.range)
        }
        let window = ahead.map { $0.map { BlockAddress(data: data, index: BlockIndex($0)) } } ?? []
        let synchronousBytes = 1 << 20
        let split = min(window.count, max(1, synchronousBytes / blockSize.bytes))
        let loaded = try cache.pinLoading(pieces, ahead: Array(window[..<split]))
        if split < window.count { cache.prefetch(Array(window[split...])) }
        for (index, (pin, piece)) in zip(loaded, plan).enumerated() {
            pins.initializeElement(at: index, to: pin)
            parts[index] = UnsafeRawBufferPointer(rebasing: pin.bytes[piece.range])
        }
        return loaded.count
    }
}
