/// A primary by its name, and the sentinels that say where it is.
public struct SentinelGroup: Hashable, Sendable, CustomStringConvertible {
    public static let standardPort = 26_379
    /// A deployment has three or five; asking all of them has to fit one attempt to connect.
    public static let maximumSentinels = 16

    /// In the order in which they are asked at first; not empty.
    public let sentinels: [RedisEndpoint.Address]
    /// What `sentinel monitor` calls the primary.
    public let primary: String

    /// Returns `nil` without a name, without sentinels and with too many.
    public init?(_ sentinels: [RedisEndpoint.Address], primary: String) {
        guard (1...Self.maximumSentinels).contains(sentinels.count), !primary.isEmpty else {
            return nil
        }
        self.sentinels = sentinels
        self.primary = primary
    }

    public var description: String {
        sentinels.map { "\($0)" }.joined(separator: ",") + "/\(primary)"
    }
}

/// Which sentinel is asked next, and how long it has to answer. It has no clock and no socket.
struct SentinelOrder: Equatable {
    /// A sentinel that is there answers at once: the next one is better than waiting longer.
    static let longestWaitMilliseconds = 1_000

    /// Positions in `SentinelGroup.sentinels`.
    private(set) var positions: [Int]

    init(count: Int) { positions = Array(0..<count) }

    /// It is asked first from now on.
    mutating func didAnswer(_ position: Int) {
        positions.removeAll { $0 == position }
        positions.insert(position, at: 0)
    }

    /// What it named does not serve as a primary: the failover is under way, or it has not heard of it. The
    /// others are asked first next time.
    mutating func didMislead(_ position: Int) {
        positions.removeAll { $0 == position }
        positions.append(position)
    }

    /// How long the next sentinel has when `left` are not asked yet and connecting has to be done in
    /// `remaining`: as long as each of the others, and as the primary.
    static func waitMilliseconds(remaining: Int, left: Int) -> Int {
        max(1, min(longestWaitMilliseconds, remaining / (left + 1)))
    }
}

/// What a sentinel answered to `SENTINEL GET-MASTER-ADDR-BY-NAME`.
enum SentinelAnswer: Equatable {
    case primary(RedisEndpoint.Address)
    case unknownName
    case wantsPassword
    /// An error, or nothing that a sentinel answers; says which.
    case useless(String)

    init(_ reply: Reply) {
        switch reply {
        case .null: self = .unknownName
        case .error(let text) where text.starts(with: "NOAUTH".utf8): self = .wantsPassword
        case .error(let text): self = .useless(Self.shown(text))
        case .array(let parts): self = Self.address(parts).map { .primary($0) } ?? Self.malformed
        case .simple, .integer, .bulk: self = Self.malformed
        }
    }

    private static let malformed = SentinelAnswer.useless("it answers with something else")

    private static let longestHostBytes = 255
    private static let longestTextBytes = 200

    /// An address, IPv6 too, or a name where `resolve-hostnames` is on.
    private static func address(_ parts: [Reply]) -> RedisEndpoint.Address? {
        guard parts.count == 2, case .bulk(let host) = parts[0], case .bulk(let port) = parts[1],
            (1...longestHostBytes).contains(host.count),
            host.allSatisfy({ (33...126).contains($0) }),
            let number = UInt16(String(decoding: port, as: UTF8.self)), number > 0
        else { return nil }
        return .tcp(host: String(decoding: host, as: UTF8.self), port: Int(number))
    }

    private static func shown(_ text: [UInt8]) -> String {
        String(decoding: text.prefix(longestTextBytes).filter { $0 >= 32 }, as: UTF8.self)
    }
}
