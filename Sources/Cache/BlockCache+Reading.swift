public import Primitives
import Telemetry

extension BlockCache {
    /// Loads that fail faster than this met a damaged block rather than a store that is away: whoever
    /// waited for them tries his own blocks alone.
    static let quickFailureMilliseconds = 1_000
    /// Readahead takes at most this part of the cache.
    static let aheadShare = 4

    /// Lends a cached block; `nil` unless every byte of `range` is known. Never waits for the store,
    /// allocates nothing, takes one lock. The range is not empty and lies within the block.
    public func pin(_ address: BlockAddress, _ range: Range<Int>) -> PinnedBlock? {
        let hash = address.mixed
        let pinned = withShard(of: hash) { $0.pin(address, hash: hash, range) }
        if pinned != nil { metrics.add(.cacheHits) }
        return pinned
    }

    /// Ends the loan.
    public func unpin(_ block: PinnedBlock) {
        if block.slot == BlockPool.none { return }
        let becameFree = withShard(at: Int(block.shard)) { $0.unpin(block.slot) }
        if becameFree { announceMemory() }
    }

    /// Lends all `pieces` in order, after fetching what is missing of them, and of `ahead` as far as there is
    /// clean memory, in one trip. A block that another thread is fetching is waited for.
    ///
    /// Throws what the source throws, and EIO when there is no memory for too long; then nothing is lent.
    public func pinLoading(
        _ pieces: [BlockPiece], ahead: [BlockAddress]
    ) throws(Errno) -> [PinnedBlock] {
        var pins = [PinnedBlock?](repeating: nil, count: pieces.count)
        do throws(Errno) {
            try fill(&pins, pieces, ahead: ahead)
        } catch {
            for pin in pins { if let pin { unpin(pin) } }
            throw error
        }
        return pins.compactMap { $0 }
    }

    /// Fetches blocks in the background; dropped without a word when too much is waiting or fails.
    public func prefetch(_ addresses: [BlockAddress]) {
        let wanted = addresses.prefix(pool.nominalCapacity / Self.aheadShare)
        if wanted.isEmpty { return }
        let ahead = Array(wanted)
        prefetcher.enqueue { [self] in loadAhead(ahead) }
    }

    // MARK: Planning

    /// A block that this thread fetches.
    private struct Load {
        let address: BlockAddress
        let hash: UInt64
        var slot: BlockPool.Slot
        /// Which piece it is for; `nil` for readahead.
        let piece: Int?
    }

    private func fill(
        _ pins: inout [PinnedBlock?], _ pieces: [BlockPiece], ahead: [BlockAddress]
    ) throws(Errno) {
        var ahead = ahead.prefix(pool.nominalCapacity / Self.aheadShare)
        for _ in 0..<Self.planLimit {
            let ticket = LoadTicket()
            var waits: [LoadTicket] = []
            var loads = claim(&pins, pieces, ticket, &waits)
            if loads.isEmpty {
                if !ahead.isEmpty { prefetch(Array(ahead)) }
            } else {
                let started = Deadline.now
                let wanted = loads.count
                try obtainMemory(for: &loads, ticket)
                claimAhead(ahead, ticket, &loads)
                let hadAhead = loads.count > wanted
                do throws(Errno) {
                    try run(loads, ticket) {
                        pins[$0] = $1
                    } range: {
                        pieces[$0].range
                    }
                } catch {
                    // Perhaps only a block of the readahead is damaged.
                    guard hadAhead, Self.isQuick(since: started) else { throw error }
                }
            }
            ahead = []
            // Nobody waits for us any more: our own trip is over.
            for other in waits { try other.wait() }
            if pins.allSatisfy({ $0 != nil }) { return }
        }
        throw .ioError
    }

    /// Pins what is known and claims what nobody is fetching; adds whom to wait for to `waits`.
    private func claim(
        _ pins: inout [PinnedBlock?], _ pieces: [BlockPiece], _ ticket: LoadTicket,
        _ waits: inout [LoadTicket]
    ) -> [Load] {
        var loads: [Load] = []
        for (index, piece) in pieces.enumerated() where pins[index] == nil {
            let hash = piece.address.mixed
            switch withShard(
                of: hash,
                { $0.claim(piece.address, hash: hash, piece.range, ticket: ticket) })
            {
            case .pinned(let block):
                pins[index] = block
                metrics.add(.cacheHits)
            case .wait(let other):
                if other !== ticket { waits.append(other) }
            case .claimed:
                loads.append(
                    Load(
                        address: piece.address, hash: hash, slot: BlockPool.none, piece: index))
                metrics.add(.cacheMisses)
            }
        }
        return loads
    }

    private func claimAhead(
        _ addresses: some Sequence<BlockAddress>, _ ticket: LoadTicket, _ loads: inout [Load]
    ) {
        for address in addresses {
            let hash = address.mixed
            guard withShard(of: hash, { $0.claimAhead(address, hash: hash, ticket: ticket) }) else {
                continue
            }
            guard let slot = takeSlot(near: hash, beyondCapacity: false) else {
                withShard(of: hash) { $0.abandon(address, hash: hash, ticket: ticket) }
                return
            }
            loads.append(Load(address: address, hash: hash, slot: slot, piece: nil))
        }
    }

    private func loadAhead(_ addresses: [BlockAddress]) {
        let ticket = LoadTicket()
        var loads: [Load] = []
        claimAhead(addresses, ticket, &loads)
        if loads.isEmpty { return }
        do throws(Errno) {
            try run(loads, ticket) { _, _ in
            } range: { _ in
                0..<0
            }
        } catch {
            // The reader who wants the block will meet the error himself.
        }
    }

    // MARK: The trip

    private func obtainMemory(for loads: inout [Load], _ ticket: LoadTicket) throws(Errno) {
        do throws(Errno) {
            for index in loads.indices {
                loads[index].slot = try obtainSlot(near: loads[index].hash)
            }
        } catch {
            abandon(loads, ticket)
            ticket.fail(error)
            throw error
        }
    }

    private func abandon(_ loads: [Load], _ ticket: LoadTicket) {
        for load in loads {
            withShard(of: load.hash) {
                $0.abandon(load.address, hash: load.hash, ticket: ticket)
            }
            giveBack(load.slot)
        }
    }

    /// Makes the trip for what was claimed under `ticket`, installs what came and hands each piece's pin to
    /// `deliver`; a piece that was forgotten meanwhile gets none. All claims are over afterwards.
    private func run(
        _ loads: [Load], _ ticket: LoadTicket,
        deliver: (Int, PinnedBlock) -> Void, range: (Int) -> Range<Int>
    ) throws(Errno) {
        let started = Deadline.now
        let forms: [StoredForm]
        do throws(Errno) {
            forms = try source.load(
                loads.map {
                    BlockRequest(address: $0.address, memory: pool.slots.memory(of: $0.slot))
                })
        } catch {
            abandon(loads, ticket)
            if Self.isQuick(since: started) { ticket.finish() } else { ticket.fail(error) }
            throw error
        }
        precondition(forms.count == loads.count, "the source answers each request")
        for (var load, form) in zip(loads, forms) {
            let pinned = withShard(of: load.hash) { shard in
                shard.install(
                    load.address, hash: load.hash, ticket: ticket, slot: &load.slot, form: form,
                    pinning: load.piece.map(range))
            }
            if let piece = load.piece, let pinned { deliver(piece, pinned) }
            giveBack(load.slot)
        }
        ticket.finish()
    }

    private static func isQuick(since start: Deadline) -> Bool {
        !start.advanced(byMilliseconds: quickFailureMilliseconds).hasPassed
    }
}
