/// A string value of a `MemoryStore`; changed in place, so that a patch costs its own bytes.
final class StoredString {
    private(set) var bytes: Bytes

    init(_ bytes: Bytes) { self.bytes = bytes }

    init(header: InlineBlockHeader, payload: UnsafeRawBufferPointer) {
        bytes = Bytes(unsafeUninitializedCapacity: BlockHeader.byteCount + payload.count) {
            buffer, count in
            count = BlockHeader.byteCount + payload.count
            Self.fill(UnsafeMutableRawBufferPointer(buffer), header, payload)
        }
    }

    /// `nil` when the value is shorter than a header.
    var header: InlineBlockHeader? {
        guard bytes.count >= BlockHeader.byteCount else { return nil }
        return bytes.withUnsafeBytes { buffer in
            InlineBlockHeader(
                low: UInt64(littleEndian: buffer.loadUnaligned(as: UInt64.self)),
                high: UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    /// Whether the value begins with the first `count` bytes of `header`.
    func begins(with header: InlineBlockHeader, comparing count: Int) -> Bool {
        bytes.starts(with: header.bytes.prefix(count))
    }

    func holds(header: InlineBlockHeader, payload: UnsafeRawBufferPointer) -> Bool {
        bytes.count == BlockHeader.byteCount + payload.count && self.header == header
            && bytes.withUnsafeBytes { $0.dropFirst(BlockHeader.byteCount).elementsEqual(payload) }
    }

    func replace(header: InlineBlockHeader, payload: UnsafeRawBufferPointer) {
        guard bytes.count == BlockHeader.byteCount + payload.count else {
            bytes = StoredString(header: header, payload: payload).bytes
            return
        }
        bytes.withUnsafeMutableBytes { Self.fill($0, header, payload) }
    }

    /// As Redis' SETRANGE: a gap is filled with zero bytes.
    func patch(at position: Int, _ payload: UnsafeRawBufferPointer) {
        guard !payload.isEmpty else { return }
        let end = position + payload.count
        if end > bytes.count {
            bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
        }
        bytes.withUnsafeMutableBytes { buffer in
            UnsafeMutableRawBufferPointer(rebasing: buffer[position..<end]).copyMemory(
                from: payload)
        }
    }

    /// What follows the header, copied to `destination`.
    func load(into destination: UnsafeMutableRawBufferPointer) -> BlockLoadAnswer {
        guard let header else { return .tooShort }
        let payloadBytes = bytes.count - BlockHeader.byteCount
        guard payloadBytes <= destination.count else { return .tooLong(payloadBytes: payloadBytes) }
        bytes.withUnsafeBytes { buffer in
            destination.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: buffer[BlockHeader.byteCount...]))
        }
        return .loaded(header: header, payloadBytes: payloadBytes)
    }

    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, _ header: InlineBlockHeader,
        _ payload: UnsafeRawBufferPointer
    ) {
        buffer.storeBytes(of: header.low.littleEndian, as: UInt64.self)
        buffer.storeBytes(of: header.high.littleEndian, toByteOffset: 8, as: UInt64.self)
        UnsafeMutableRawBufferPointer(rebasing: buffer[BlockHeader.byteCount...]).copyMemory(
            from: payload)
    }
}
