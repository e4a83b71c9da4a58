/// Where a volume is stored, as the command line names it.
///
/// - `redis://[user[:password]@]host[:port][/db]`
/// - `redis-sentinel://[user[:password]@]host[:port][,host[:port]...]/name[/db]`: the primary of that name
/// - `rediss://` and `rediss-sentinel://`: the same by TLS
/// - `unix://[user[:password]@]/path.sock[?db=N]`
/// - `file:DIR`: a private redis-server that ApusFS starts and stops, with its data in DIR
/// - `memory:`: in the process that mounts it, gone when it ends
struct Source: Equatable, Sendable, Codable {
    enum Place: Equatable, Sendable, Codable {
        case tcp(host: String, port: UInt16)
        case sentinels([Host], primary: String)
        case unixSocket(path: String)
        case embedded(directory: String)
        case memory
    }

    struct Host: Equatable, Sendable, Codable {
        var name: String
        var port: UInt16
    }

    var place: Place
    /// A user of the Redis access control list; nil for the default user.
    var user: String?
    var password: Secret?
    /// For sentinels that want a password of their own.
    var sentinelPassword: Secret?
    /// The number of the Redis database.
    var database: Int
    /// `nil`: nothing is encrypted.
    var tls: TLSSettings?

    init(_ place: Place, user: String? = nil, password: Secret? = nil, database: Int = 0) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    static let standardPort: UInt16 = 6_379
    static let standardSentinelPort: UInt16 = 26_379

    /// A volume that is not there yet is made at the first mount: nobody else could be using it.
    var isPrivate: Bool {
        switch place {
        case .embedded, .memory: true
        case .tcp, .sentinels, .unixSocket: false
        }
    }
}

extension Source: CustomStringConvertible {
    /// The source in its canonical form, with `***` for a password: fit for `ps`, logs and
    /// /proc/mounts. Parsing it again gives the same place and database.
    var description: String {
        let scheme = tls == nil ? "redis" : "rediss"
        switch place {
        case .tcp(let host, let port):
            return "\(scheme)://\(credentials)\(Host(name: host, port: port))/\(database)"
        case .sentinels(let hosts, let primary):
            let shown = hosts.map { "\($0)" }.joined(separator: ",")
            return "\(scheme)-sentinel://\(credentials)\(shown)/\(primary)/\(database)"
        case .unixSocket(let path):
            let query = database == 0 ? "" : "?db=\(database)"
            return "unix://\(credentials)\(PercentCoding.encode(path, keeping: "/"))\(query)"
        case .embedded(let directory): return "file:\(directory)"
        case .memory: return "memory:"
        }
    }

    private var credentials: String {
        guard user != nil || password != nil else { return "" }
        let name = PercentCoding.encode(user ?? "", keeping: "")
        return password == nil ? "\(name)@" : "\(name):\(Secret.mask)@"
    }
}

extension Source.Host: CustomStringConvertible {
    /// `host:port`, an IPv6 address in brackets.
    var description: String {
        (name.utf8.contains(UInt8(ascii: ":")) ? "[\(name)]" : name) + ":\(port)"
    }
}
