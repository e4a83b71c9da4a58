/// The number of an inode of a volume. The root directory is 1; 0 is never an inode.
public struct InodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let root = InodeID(1)

    public static func < (left: InodeID, right: InodeID) -> Bool { left.rawValue < right.rawValue }

    public var description: String { String(rawValue) }
}

/// The number under which a file's blocks are stored. A file gets a new one when it is truncated to
/// zero, so that truncation costs the same however large the file was. Shares its number space with
/// `InodeID`.
public struct DataID: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public var description: String { String(rawValue) }
}

/// The position of a block in its file, counted in blocks from 0.
public struct BlockIndex: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (left: BlockIndex, right: BlockIndex) -> Bool {
        left.rawValue < right.rawValue
    }

    public var next: BlockIndex { BlockIndex(rawValue + 1) }

    public var description: String { String(rawValue) }
}

/// Names one block of one volume.
public struct BlockAddress: Hashable, Sendable, CustomStringConvertible {
    public let data: DataID
    public let index: BlockIndex

    public init(data: DataID, index: BlockIndex) {
        self.data = data
        self.index = index
    }

    public var description: String { "\(data)/\(index)" }

    /// A well-mixed 64-bit number: the low bits choose a shard, the rest a slot.
    public var mixed: UInt64 {
        // The finalizer of splitmix64: each input bit changes half of the output bits.
        var value = data.rawValue &* 0x9E37_79B9_7F4A_7C15 &+ index.rawValue
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Names one mount's registration with a volume.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public var description: String { String(rawValue) }
}
