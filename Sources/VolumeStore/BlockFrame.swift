import KeyValue
import Primitives

/// The 16 bytes before a block's payload (docs/FORMAT.md, "Block").
///
/// All raw frames of one epoch are the same 16 bytes, of which a conditional patch compares the first
/// `comparedBytes`: it finds out whether the block is still raw and of this epoch.
struct BlockFrame: Hashable {
    enum Content: Hashable {
        /// The payload is the block's bytes; what it lacks at the end is zeros. It has no checksum,
        /// because it can be patched in place.
        case raw
        case packed(codec: UInt8, originalBytes: Int, checksum: UInt32)
    }

    static let magic: UInt64 = 0x5041  // "AP" in stored order
    static let version: UInt64 = 1
    /// Magic, version, codec, flags, epoch.
    static let comparedBytes = 8

    var content: Content
    var epoch: UInt64

    static func raw(epoch: UInt64) -> BlockFrame { BlockFrame(content: .raw, epoch: epoch) }

    private init(content: Content, epoch: UInt64) {
        self.content = content
        self.epoch = epoch
    }

    /// `originalBytes` is what `payload` decompresses to.
    static func packed(
        codec: UInt8, originalBytes: Int, checksum: UInt32, epoch: UInt64
    ) -> BlockFrame {
        precondition(codec != 0, "codec 0 is raw")
        return BlockFrame(
            content: .packed(codec: codec, originalBytes: originalBytes, checksum: checksum),
            epoch: epoch)
    }

    var header: InlineBlockHeader {
        let start = Self.magic | Self.version << 16 | epoch << 40
        switch content {
        case .raw: return InlineBlockHeader(low: start, high: 0)
        case .packed(let codec, let originalBytes, let checksum):
            return InlineBlockHeader(
                low: start | UInt64(codec) << 24,
                high: UInt64(originalBytes) | UInt64(checksum) << 32)
        }
    }

    /// Judges a header that was found before `payloadBytes` bytes. Never believes a size that a block
    /// of `blockBytes` cannot have.
    init(
        parsing header: InlineBlockHeader, payloadBytes: Int, blockBytes: Int
    ) throws(FormatError) {
        guard header.low & 0xFFFF == Self.magic else { throw FormatError("no block frame") }
        guard header.low >> 16 & 0xFF == Self.version else {
            throw FormatError("a block frame of version \(header.low >> 16 & 0xFF)")
        }
        guard header.low >> 32 & 0xFF == 0 else { throw FormatError("unknown frame flags") }
        guard payloadBytes <= blockBytes else { throw FormatError("a block that is too long") }
        let epoch = header.low >> 40
        let codec = UInt8(truncatingIfNeeded: header.low >> 24)
        guard codec != 0 else {
            guard header.high == 0 else { throw FormatError("a raw frame with a checksum") }
            self.init(content: .raw, epoch: epoch)
            return
        }
        let originalBytes = Int(header.high & 0xFFFF_FFFF)
        guard (1...blockBytes).contains(originalBytes), payloadBytes < originalBytes else {
            throw FormatError("a packed frame of \(payloadBytes) bytes claims \(originalBytes)")
        }
        self.init(
            content: .packed(
                codec: codec, originalBytes: originalBytes,
                checksum: UInt32(truncatingIfNeeded: header.high >> 32)),
            epoch: epoch)
    }
}
