public import Primitives

// Every function here but `throttle` is called while the owner's inode stripe is held exclusively.
extension BlockCache {
    /// Copies `bytes` into the block at `position` and marks them dirty. Never fetches the rest of the block.
    ///
    /// `baseIsAbsent`: the store certainly holds nothing under that address, and this is the first write to
    /// it (a block that was written before may have been stored and evicted just now); all other bytes
    /// are zeros then. Without effect when something of the block is cached.
    ///
    /// Waits for memory when all blocks are dirty or pinned; EIO when there is none for too long (nothing
    /// of this call happened then). The bytes lie within the block.
    public func write(
        _ address: BlockAddress, owner: InodeID, at position: Int, bytes: UnsafeRawBufferPointer,
        baseIsAbsent: Bool
    ) throws(Errno) {
        try change(
            address, owner: owner, range: position..<position + bytes.count,
            content: .bytes(bytes), baseIsAbsent: baseIsAbsent)
    }

    /// The same, unless something newer waits there to be stored.
    public func writeIfClean(
        _ address: BlockAddress, owner: InodeID, at position: Int, bytes: UnsafeRawBufferPointer
    ) throws(Errno) {
        try change(
            address, owner: owner, range: position..<position + bytes.count,
            content: .bytes(bytes), baseIsAbsent: false, onlyIfClean: true)
    }

    /// The same with zero bytes.
    public func writeZeros(
        _ address: BlockAddress, owner: InodeID, range: Range<Int>, baseIsAbsent: Bool
    ) throws(Errno) {
        try change(
            address, owner: owner, range: range, content: .zeros, baseIsAbsent: baseIsAbsent)
    }

    private func change(
        _ address: BlockAddress, owner: InodeID, range: Range<Int>, content: CacheShard.Content,
        baseIsAbsent: Bool, onlyIfClean: Bool = false
    ) throws(Errno) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= settings.blockSize.bytes,
            "a write stays within its block")
        if range.isEmpty { return }
        let hash = address.mixed
        let wasPressed = isPressed
        var spare = BlockPool.none
        defer { giveBack(spare) }
        while true {
            let isDone = withShard(of: hash) { shard in
                shard.write(
                    address, hash: hash, owner: owner, range: range, content: content,
                    baseIsAbsent: baseIsAbsent, onlyIfClean: onlyIfClean, spare: &spare)
            }
            if isDone { break }
            spare = try obtainSlot(near: hash)
        }
        if !wasPressed, isPressed { flusher.wake() }
    }

    /// A copy of what is known of a block; `nil` when it is dirty, not here, or known in several pieces.
    public func copyOfClean(_ address: BlockAddress) -> (offset: Int, bytes: [UInt8])? {
        let hash = address.mixed
        return withShard(of: hash) { $0.copyOfClean(address, hash: hash) }
    }

    private var isPressed: Bool {
        pressure.isPressed(dirtyBytes: owners.dirtyBytes, dirtyBlocks: owners.dirtyBlocks)
    }

    /// Slows a writer as dirty bytes near the limit, and makes it wait at the limit until a flush made room,
    /// at most `waitLimitMilliseconds`. Called before the write and without any stripe, because
    /// the flush that makes room may need it.
    ///
    /// ENOSPC at the limit when the store has no room for what is dirty already.
    public func throttle(incoming bytes: Int) throws(Errno) {
        switch slowing(bytes) {
        case .pass: return
        case .delay(let nanoseconds):
            let end = Deadline(
                monotonicNanoseconds: Deadline.now.monotonicNanoseconds + nanoseconds)
            let _: Bool? = room.wait(until: end) { _ in slowing(bytes) == .pass ? true : nil }
        case .waitForRoom:
            flusher.wake()
            let answer: Result<Void, Errno>? = room.wait(until: waitDeadline) { room in
                if slowing(bytes) != .waitForRoom { return .success(()) }
                return room.refusal.map { .failure($0) }
            }
            try answer?.get()
        }
    }

    private func slowing(_ bytes: Int) -> DirtyPressure.Slowing {
        pressure.slowing(
            dirtyBytes: owners.dirtyBytes, dirtyBlocks: owners.dirtyBlocks, incoming: bytes)
    }
}
