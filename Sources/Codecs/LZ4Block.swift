import CLZ4

/// The LZ4 block format (lz4.h). `LZ4_compress_default` keeps its 16 KiB of state on the stack, so
/// nothing here allocates.
enum LZ4Block {
    static func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard source.count <= LZ4_MAX_INPUT_SIZE, let output = destination.baseAddress else {
            return nil
        }
        // SAFETY: LZ4 reads `count` bytes of the source and writes at most the given capacity; both
        // buffers are lent by the caller for the length of this call. An empty source has no address,
        // and LZ4 does not follow the pointer then.
        let written = LZ4_compress_default(
            (source.baseAddress ?? UnsafeRawPointer(output)).assumingMemoryBound(to: CChar.self),
            output.assumingMemoryBound(to: CChar.self), Int32(source.count),
            Int32(clamping: destination.count))
        return written > 0 ? Int(written) : nil
    }

    static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard let input = source.baseAddress, source.count <= Int(Int32.max),
            target.count <= Int(Int32.max)
        else { throw .damaged }
        // SAFETY: LZ4_decompress_safe never reads behind the source's count nor writes behind the
        // target's, whatever the bytes are (lz4.h). With a capacity of 0 it does not follow the pointer.
        let written = LZ4_decompress_safe(
            input.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count),
            Int32(target.count))
        guard written >= 0 else { throw .damaged }
        guard written == Int32(target.count) else {
            throw .wrongLength(expected: target.count, found: Int(written))
        }
    }
}
