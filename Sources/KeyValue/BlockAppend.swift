/// Bytes that go behind those that consecutive blocks hold, wherever that is when the batch happens.
///
/// How many there are stands in a field of a hash; a batch with this mutation raises it by the payload and
/// writes the payload there, so nobody else is given that place, and nobody sees the place without the bytes.
/// The new length and the number of blocks that were made are part of the outcome.
///
/// It fits when the field says a length that lies within `blocks` with the payload behind it, and each block
/// that gets bytes is absent or begins with the first `comparing` bytes of `header`. Otherwise the batch does
/// not happen; its outcome is a failed condition whose index is the number of conditions. A batch has at most
/// one such mutation.
public struct BlockAppend: Hashable, Sendable {
    public var key: Bytes
    public var field: Bytes
    /// Keys of consecutive blocks.
    public var blocks: [Bytes]
    /// The position of the first byte of the first of them.
    public var start: UInt64
    public var blockBytes: Int
    /// What a block begins with that is made.
    public var header: InlineBlockHeader
    public var comparing: Int
    public var payload: Bytes

    public init(
        key: Bytes, field: Bytes, blocks: [Bytes], start: UInt64, blockBytes: Int,
        header: InlineBlockHeader, comparing: Int, payload: Bytes
    ) {
        self.key = key
        self.field = field
        self.blocks = blocks
        self.start = start
        self.blockBytes = blockBytes
        self.header = header
        self.comparing = comparing
        self.payload = payload
    }

    /// The pieces of the payload by block, when that many bytes are there; `nil` when it does not fit.
    func pieces(behind length: Int64) -> [(block: Int, position: Int, payload: Range<Int>)]? {
        guard length >= 0, UInt64(length) >= start,
            UInt64(length) - start <= UInt64(blocks.count * blockBytes),
            Int(UInt64(length) - start) + payload.count <= blocks.count * blockBytes
        else { return nil }
        let first = Int(UInt64(length) - start)
        var pieces: [(block: Int, position: Int, payload: Range<Int>)] = []
        var done = 0
        while done < payload.count {
            let position = (first + done) % blockBytes
            let count = min(blockBytes - position, payload.count - done)
            pieces.append(((first + done) / blockBytes, position, done..<done + count))
            done += count
        }
        return pieces
    }
}
