public import Primitives

/// A block that has dirty bytes.
public struct BlockChange: @unchecked Sendable {
    public var address: BlockAddress
    /// The dirty bytes: ascending, disjoint, not empty.
    public var ranges: [Range<Int>]
    /// The block's memory from its first byte; at least `ranges` of it are valid, and all of it when
    /// `isWholeKnown`.
    // SAFETY: lent for the length of `VolumeStore.store`, during which nobody changes it.
    public var memory: UnsafeRawBufferPointer
    /// All bytes are this mount's true view of the block.
    public var isWholeKnown: Bool
    /// When the whole block is known: the bytes behind this are zeros.
    public var contentEnd: Int
    public var form: StoredForm

    public init(
        address: BlockAddress, ranges: [Range<Int>], memory: UnsafeRawBufferPointer,
        isWholeKnown: Bool, contentEnd: Int, form: StoredForm
    ) {
        self.address = address
        self.ranges = ranges
        self.memory = memory
        self.isWholeKnown = isWholeKnown
        self.contentEnd = contentEnd
        self.form = form
    }

    var dirtyBytes: Int { ranges.reduce(0) { $0 + $1.count } }
    var dirtyEnd: Int { ranges.last?.upperBound ?? 0 }
}

/// How one changed block is stored. Decided from plain values; docs/FORMAT.md, "Storing blocks".
enum BlockDecision: Hashable {
    /// All zeros over a hole: nothing is stored.
    case skip
    /// The first `payloadBytes` bytes of the memory become the block, compressed when that pays.
    case replace(payloadBytes: Int)
    /// The same, if the block is still absent.
    case replaceAbsent(payloadBytes: Int)
    /// Only the dirty bytes, without a look: the block is certainly raw.
    case patch
    /// Only the dirty bytes, if the block is raw or absent.
    case patchMatching
    /// What is stored is loaded, the dirty bytes are laid over it, and the result replaces exactly what
    /// was loaded.
    case merge
}

/// What a decision depends on besides the block itself.
struct StoreCircumstances {
    /// No other session can write to the volume.
    var isAlone: Bool
    var blockBytes: Int
    var compresses: Bool

    /// A payload beyond this is staged rather than sent through a script (141 µs instead of 13 µs for
    /// 128 KiB).
    static let largestConditionalPatch = 16_384
    /// Pieces beyond this cost more as commands than the whole block as bytes.
    static let mostPatches = 32

    func decide(_ change: BlockChange) -> BlockDecision {
        let isAllDirty = change.ranges.count == 1 && change.ranges[0] == 0..<blockBytes
        let content = isAllDirty && !change.isWholeKnown ? blockBytes : change.contentEnd
        if isAllDirty { return isAlone ? whole(change, content) : replace(change, content) }
        guard change.isWholeKnown else {
            return change.form == .packed ? .merge : patch(change)
        }
        guard isAlone else { return shared(change, content) }
        let isSmall =
            2 * change.dirtyBytes < content && change.ranges.count <= Self.mostPatches
        switch change.form {
        case .absent, .packed: return whole(change, content)
        case .unknown:
            return isSmall && change.dirtyBytes <= Self.largestConditionalPatch
                ? .patchMatching : replace(change, content)
        case .raw: return isSmall ? .patch : replace(change, content)
        }
    }

    /// Zeros need no payload: what a frame lacks at its end reads as zeros.
    private func replace(_ change: BlockChange, _ content: Int) -> BlockDecision {
        .replace(payloadBytes: isZero(change.memory, content) ? 0 : content)
    }

    private func whole(_ change: BlockChange, _ content: Int) -> BlockDecision {
        if change.form == .absent, isZero(change.memory, content) { return .skip }
        return replace(change, content)
    }

    private func patch(_ change: BlockChange) -> BlockDecision {
        isAlone && change.form == .raw ? .patch : .patchMatching
    }

    /// Another mount may have changed what this one does not know to be dirty.
    private func shared(_ change: BlockChange, _ content: Int) -> BlockDecision {
        switch change.form {
        case .packed: .merge
        case .raw, .unknown: .patchMatching
        case .absent:
            compresses || change.dirtyBytes > Self.largestConditionalPatch
                ? .replaceAbsent(payloadBytes: content) : .patchMatching
        }
    }
}

/// Whether the first `count` bytes are zeros.
func isZero(_ memory: UnsafeRawBufferPointer, _ count: Int) -> Bool {
    // SAFETY: the caller's memory holds `count` bytes; loads are unaligned.
    var position = 0
    while position + 8 <= count {
        if memory.loadUnaligned(fromByteOffset: position, as: UInt64.self) != 0 { return false }
        position += 8
    }
    while position < count {
        if memory[position] != 0 { return false }
        position += 1
    }
    return true
}
