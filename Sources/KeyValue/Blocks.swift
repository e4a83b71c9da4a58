/// The bulk path: values that are too large to go through a batch.
///
/// A stored block begins with a header of `BlockHeader.byteCount` bytes whose meaning the store does not
/// know, except that blocks are *compared* and *patched* by it.
public enum BlockHeader {
    public static let byteCount = 16
}

/// Reads one block.
public struct BlockLoad: @unchecked Sendable {
    public var key: Bytes
    /// Receives what follows the header. A longer payload is `.tooLong` and changes no byte behind it.
    // SAFETY: lent for the length of `KeyValueStore.load`, during which nobody else touches it.
    public var destination: UnsafeMutableRawBufferPointer

    public init(key: Bytes, destination: UnsafeMutableRawBufferPointer) {
        self.key = key
        self.destination = destination
    }
}

/// What was found under a block's key.
public enum BlockLoadAnswer: Hashable, Sendable {
    case absent
    /// The first 16 bytes, and how many bytes of the destination were filled; what stands behind them is
    /// unspecified.
    case loaded(header: InlineBlockHeader, payloadBytes: Int)
    /// Shorter than a header.
    case tooShort
    /// The payload is longer than the destination; nothing useful was filled.
    case tooLong(payloadBytes: Int)
    /// The key holds something else than a string.
    case wrongKind
}

/// 16 header bytes as two words in the machine's byte order, so that no array is made for them.
public struct InlineBlockHeader: Hashable, Sendable {
    /// Bytes 0 to 7, little-endian.
    public var low: UInt64
    /// Bytes 8 to 15, little-endian.
    public var high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// The 16 bytes in stored order.
    public var bytes: Bytes {
        var result = Bytes()
        result.reserveCapacity(BlockHeader.byteCount)
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            result.append(UInt8(truncatingIfNeeded: low >> shift))
        }
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            result.append(UInt8(truncatingIfNeeded: high >> shift))
        }
        return result
    }
}

/// One change of a block.
public struct BlockWrite: @unchecked Sendable {
    public enum Kind: Hashable, Sendable {
        /// The block becomes header and payload, whatever it was.
        case replace(header: InlineBlockHeader)
        /// The payload goes to `offset` bytes behind the header; the rest stays, and a gap reads as zero
        /// bytes. Only for a block that is known to exist and to be patchable.
        case patch(offset: Int)
        /// The same after a look: an absent block is made with `header` first; one whose first
        /// `comparing` header bytes differ from those of `header` is a conflict.
        case patchMatching(header: InlineBlockHeader, comparing: Int, offset: Int)
        /// The block becomes header and payload if it still has the header `expected` (`nil`: is still
        /// absent), or if it is that already; otherwise it is a conflict. The payload is staged under a
        /// neighbour key.
        case replaceMatching(header: InlineBlockHeader, expected: InlineBlockHeader?)
        /// The block becomes what the block `source` is, header and payload, whatever it was; its bytes
        /// do not leave the store. An absent source is a conflict and changes nothing. The payload of the
        /// write is empty; `growth` says by how many bytes the store grows at most.
        case copy(source: Bytes, growth: Int)
    }

    public var key: Bytes
    public var kind: Kind
    // SAFETY: lent for the length of `KeyValueStore.store`, during which nobody changes it.
    public var payload: UnsafeRawBufferPointer

    public init(key: Bytes, kind: Kind, payload: UnsafeRawBufferPointer) {
        self.key = key
        self.kind = kind
        self.payload = payload
    }

    /// By how many bytes of payload the store grows at most.
    package var growth: Int {
        switch kind {
        case .replace, .patch, .patchMatching, .replaceMatching: payload.count
        case .copy(_, let growth): growth
        }
    }
}

/// What became of the writes and the batch of one `store` call.
public struct StoreOutcome: Hashable, Sendable {
    public enum Write: Hashable, Sendable {
        /// `created` says whether the block was absent before, where the store could tell for nothing
        /// (`patchMatching`, `replaceMatching`); `nil` where it could not.
        case stored(created: Bool?)
        /// The block (of a copy: its source) was not what the write expects; nothing of it was stored.
        case conflict
    }

    public var writes: [Write]
    /// `nil` when no batch was given or a write was in conflict.
    public var batch: CommitOutcome?

    public init(writes: [Write], batch: CommitOutcome?) {
        self.writes = writes
        self.batch = batch
    }
}
