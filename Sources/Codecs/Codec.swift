// Module Codecs: turns the bytes of a block into fewer bytes and back, into memory that the caller lends.
//
// It never allocates a block, never sees Redis or files, and trusts nothing that it decompresses.
//
// Invariants
// 1. A compressed form is never larger than the destination that the caller lends; what does not fit is
//    answered with `nil`, so "it must shrink" is said by the size of the destination.
// 2. Decompression fills exactly the promised number of bytes or fails, and never writes outside of the
//    destination, whatever the source holds.

/// How the blocks of a volume are compressed.
public enum Codec: Hashable, Sendable {
    case none
    case lz4
    /// A zlib stream (RFC 1950); `level` is 1 (fast) to 9 (small).
    case zlib(level: Int)

    public static let zlibLevels = 1...9
    public static let standardZlibLevel = 6

    /// `none`, `lz4`, `zlib` (level 6) or `zlib:1` to `zlib:9`; `nil` for anything else.
    public init?(name: String) {
        switch name {
        case "none": self = .none
        case "lz4": self = .lz4
        case "zlib": self = .zlib(level: Self.standardZlibLevel)
        default:
            let prefix = "zlib:"
            guard name.hasPrefix(prefix) else { return nil }
            let digits = name.utf8.dropFirst(prefix.utf8.count)
            guard digits.count == 1, let digit = digits.first else { return nil }
            let level = Int(digit) - Int(UInt8(ascii: "0"))
            guard Self.zlibLevels.contains(level) else { return nil }
            self = .zlib(level: level)
        }
    }

    /// What `init(name:)` accepts and the volume's record holds: `none`, `lz4`, `zlib:6`.
    public var name: String {
        switch self {
        case .none: "none"
        case .lz4: "lz4"
        case .zlib(let level): "zlib:\(level)"
        }
    }

    /// The byte in a block's frame (docs/FORMAT.md): 0 none, 1 LZ4 block format, 2 zlib stream.
    public var identifier: UInt8 {
        switch self {
        case .none: Self.noneIdentifier
        case .lz4: Self.lz4Identifier
        case .zlib: Self.zlibIdentifier
        }
    }

    public static let noneIdentifier: UInt8 = 0
    public static let lz4Identifier: UInt8 = 1
    public static let zlibIdentifier: UInt8 = 2

    /// Writes the compressed form of `source` to the start of `destination` and returns its length;
    /// `nil` when it does not fit, after which the destination's content is unspecified.
    ///
    /// Any number of threads may call this at once. `none` copies.
    public func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        switch self {
        case .none:
            guard source.count <= destination.count else { return nil }
            destination.copyMemory(from: source)
            return source.count
        case .lz4: return LZ4Block.compress(source, into: destination)
        case .zlib(let level):
            precondition(Self.zlibLevels.contains(level), "zlib has the levels 1 to 9")
            return ZlibStream.compress(source, into: destination, level: level)
        }
    }

    /// Fills the first `expecting` bytes of `destination` with what `source` was compressed from.
    ///
    /// The source may come from a damaged or hostile store: anything but exactly `expecting` bytes is an
    /// error, and nothing behind them is written. `destination` holds at least `expecting` bytes.
    public static func decompress(
        identifier: UInt8, _ source: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer, expecting: Int
    ) throws(CodecError) {
        precondition(
            expecting >= 0 && expecting <= destination.count,
            "the destination holds what is expected")
        let target = UnsafeMutableRawBufferPointer(rebasing: destination[..<expecting])
        switch identifier {
        case noneIdentifier:
            guard source.count == expecting else {
                throw .wrongLength(expected: expecting, found: source.count)
            }
            target.copyMemory(from: source)
        case lz4Identifier: try LZ4Block.decompress(source, into: target)
        case zlibIdentifier: try ZlibStream.decompress(source, into: target)
        default: throw .unknownIdentifier(identifier)
        }
    }
}

/// Why stored bytes could not be turned back.
public enum CodecError: Error, Hashable, Sendable {
    case unknownIdentifier(UInt8)
    /// Not what the codec writes, or longer than expected.
    case damaged
    /// A sound stream of another length.
    case wrongLength(expected: Int, found: Int)
}
