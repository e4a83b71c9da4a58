import Codecs
import Primitives

/// Blocks that are compressed at once, on as many threads as the volume has for it.
struct BlockPacking {
    /// The compressed form, at the start of the block's buffer.
    struct Packed {
        var length: Int
        var checksum: UInt32
    }

    private struct Piece {
        var content: UnsafeRawBufferPointer
        var buffer: UnsafeMutableRawBufferPointer
        var packed: Packed?
    }

    private var pieces: [Piece] = []

    var count: Int { pieces.count }

    /// `buffer` holds at least one block; `content` is at most one.
    mutating func add(
        _ content: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
    ) {
        pieces.append(Piece(content: content, buffer: buffer))
    }

    /// What became of each; `nil` for a block that saves less than a sixteenth, which stays raw, so that
    /// it can be patched.
    mutating func run(_ codec: Codec, _ loop: ParallelLoop) -> [Packed?] {
        pieces.withUnsafeMutableBufferPointer { pieces in
            // SAFETY: each round touches its own piece, and all have ended when `run` returns. The memory
            // is lent for the length of the store call.
            nonisolated(unsafe) let pieces = pieces
            loop.run(pieces.count) { index in
                pieces[index].packed = Self.pack(pieces[index], codec)
            }
        }
        return pieces.map(\.packed)
    }

    private static func pack(_ piece: Piece, _ codec: Codec) -> Packed? {
        let count = piece.content.count
        let limit = count - max(1, count / 16)
        // SAFETY: content is at most one block, so limit is within the buffer.
        let destination = UnsafeMutableRawBufferPointer(rebasing: piece.buffer[..<limit])
        guard let length = codec.compress(piece.content, into: destination) else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: destination[..<length])
        return Packed(length: length, checksum: Checksum.crc32(payload))
    }
}
