/// The name of a volume, which is also the prefix of its keys: 1 to 64 bytes of `[A-Za-z0-9._-]`.
public struct VolumeName: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    public static let maximumByteCount = 64

    /// Returns `nil` for an empty or too long name and for forbidden bytes.
    public init?(_ text: String) {
        guard (1...Self.maximumByteCount).contains(text.utf8.count) else { return nil }
        guard text.utf8.allSatisfy(Self.isAllowed) else { return nil }
        self.text = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    public var description: String { text }
}
