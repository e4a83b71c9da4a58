/// A password. It does not print: interpolated, logged or dumped it reads `***`.
struct Secret: Equatable, Sendable, Codable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let value: String

    init(_ value: String) { self.value = value }

    /// The password itself: for the connection and the pipe to the daemon, nothing else.
    func reveal() -> String { value }

    static let mask = "***"

    var description: String { Self.mask }
    var debugDescription: String { Self.mask }
    var customMirror: Mirror { Mirror(Self.mask, children: []) }

    init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(String.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
