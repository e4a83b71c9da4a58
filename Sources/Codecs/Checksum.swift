import CZlib

/// Checksums of what is stored.
public enum Checksum {
    /// CRC-32 (ISO-HDLC, the one of zip and PNG), as zlib computes it.
    public static func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let base = bytes.baseAddress else { return 0 }
        // SAFETY: zlib reads `count` bytes of memory that the caller lends.
        return UInt32(
            truncatingIfNeeded: crc32_z(
                0, base.assumingMemoryBound(to: UInt8.self), bytes.count))
    }
}
