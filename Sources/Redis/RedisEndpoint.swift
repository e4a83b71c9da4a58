/// Where a Redis server is and who connects. Its description never shows the password.
public struct RedisEndpoint: Hashable, Sendable, CustomStringConvertible,
    CustomDebugStringConvertible, CustomReflectable
{
    public enum Address: Hashable, Sendable {
        case tcp(host: String, port: Int)
        /// The path of a unix socket; at most 107 bytes.
        case unix(path: String)
    }

    public static let standardPort = 6_379

    public var address: Address
    /// `nil` for the default user.
    public var user: String?
    public var password: String?
    public var database: Int

    public init(
        _ address: Address, user: String? = nil, password: String? = nil, database: Int = 0
    ) {
        self.address = address
        self.user = user
        self.password = password
        self.database = database
    }

    public var description: String {
        let name = user.map { "\($0)@" } ?? ""
        switch address {
        case .tcp(let host, let port):
            let shown = host.contains(":") ? "[\(host)]" : host
            return "redis://\(name)\(shown):\(port)/\(database)"
        case .unix(let path): return "unix://\(name)\(path)?db=\(database)"
        }
    }

    public var debugDescription: String { description }

    /// `dump` and string interpolation of a containing value must not reveal the password either.
    public var customMirror: Mirror { Mirror(self, children: ["endpoint": description]) }
}
