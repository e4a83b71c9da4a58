/// Where a Redis server is and who connects. Its description never shows a password.
public struct RedisEndpoint: Hashable, Sendable, CustomStringConvertible,
    CustomDebugStringConvertible, CustomReflectable
{
    public enum Address: Hashable, Sendable {
        case tcp(host: String, port: Int)
        /// The path of a unix socket; at most 107 bytes.
        case unix(path: String)
    }

    public enum Place: Hashable, Sendable {
        case server(Address)
        /// The primary that sentinels name, asked for at each attempt to connect.
        case sentinels(SentinelGroup)
    }

    public static let standardPort = 6_379

    public var place: Place
    /// `nil` for the default user.
    public var user: String?
    public var password: String?
    public var database: Int
    /// For sentinels that want a password; `nil`: they get `user` and `password`.
    public var sentinelPassword: String?
    /// `nil`: nothing is encrypted. With it, sentinels are spoken to by TLS, too.
    public var tls: TLSOptions?

    public init(
        _ place: Place, user: String? = nil, password: String? = nil, database: Int = 0
    ) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    public init(
        _ address: Address, user: String? = nil, password: String? = nil, database: Int = 0
    ) {
        self.init(.server(address), user: user, password: password, database: database)
    }

    public var description: String {
        let name = user.map { "\($0)@" } ?? ""
        let scheme = tls == nil ? "redis" : "rediss"
        switch place {
        case .server(.tcp(let host, let port)):
            return "\(scheme)://\(name)\(Address.tcp(host: host, port: port))/\(database)"
        case .server(.unix(let path)): return "unix://\(name)\(path)?db=\(database)"
        case .sentinels(let group): return "\(scheme)-sentinel://\(name)\(group)/\(database)"
        }
    }

    public var debugDescription: String { description }

    /// `dump` and string interpolation of a containing value must not reveal the password either.
    public var customMirror: Mirror { Mirror(self, children: ["endpoint": description]) }
}

extension RedisEndpoint.Address: CustomStringConvertible {
    /// `host:port` or the path.
    public var description: String {
        switch self {
        case .tcp(let host, let port): (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
        case .unix(let path): path
        }
    }
}
