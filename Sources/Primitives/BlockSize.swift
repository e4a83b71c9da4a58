/// A byte position in a file, counted from 0. At most 2^63 − 1, as `off_t`.
public struct FileOffset: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let bytes: UInt64

    public init(_ bytes: UInt64) { self.bytes = bytes }

    public static let zero = FileOffset(0)

    /// The largest size of a file: `off_t` is a signed 64-bit number.
    public static let maximum = FileOffset(UInt64(Int64.max))

    public static func < (left: FileOffset, right: FileOffset) -> Bool { left.bytes < right.bytes }

    public var description: String { String(bytes) }
}

/// The size of every block of a volume: fixed when the volume is formatted.
public struct BlockSize: Hashable, Sendable, CustomStringConvertible {
    public let bytes: Int

    /// One page of Redis' allocator classes below 128 KiB, so that a stored raw block with its 16-byte
    /// header stays under a power of two (docs/DESIGN.md, "Block size").
    public static let standard = BlockSize(unchecked: 124 * 1_024)

    public static let allowedBytes = 4_096...1_048_576

    /// Returns `nil` unless `bytes` is a multiple of 4 KiB from 4 KiB to 1 MiB.
    public init?(bytes: Int) {
        guard Self.allowedBytes.contains(bytes), bytes.isMultiple(of: 4_096) else { return nil }
        self.bytes = bytes
    }

    private init(unchecked bytes: Int) { self.bytes = bytes }

    /// The block that holds the byte at `offset`.
    public func block(containing offset: FileOffset) -> BlockIndex {
        BlockIndex(offset.bytes / UInt64(bytes))
    }

    /// Where in its block the byte at `offset` stands.
    public func position(of offset: FileOffset) -> Int {
        Int(offset.bytes % UInt64(bytes))
    }

    /// How many blocks a file of `size` bytes has when none is a hole.
    public func blockCount(forSize size: UInt64) -> UInt64 {
        size / UInt64(bytes) + (size.isMultiple(of: UInt64(bytes)) ? 0 : 1)
    }

    public var description: String { "\(bytes / 1_024) KiB" }
}
