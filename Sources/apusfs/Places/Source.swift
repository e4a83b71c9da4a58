/// Where a volume is stored, as the command line names it.
///
/// - `redis://[user[:password]@]host[:port][/db]`
/// - `unix://[user[:password]@]/path.sock[?db=N]`
/// - `file:DIR`: a private redis-server that ApusFS starts and stops, with its data in DIR
/// - `memory:`: in the process that mounts it, gone when it ends
struct Source: Equatable, Sendable, Codable {
    enum Place: Equatable, Sendable, Codable {
        case tcp(host: String, port: UInt16)
        case unixSocket(path: String)
        case embedded(directory: String)
        case memory
    }

    var place: Place
    /// A user of the Redis access control list; nil for the default user.
    var user: String?
    var password: Secret?
    /// The number of the Redis database.
    var database: Int

    init(_ place: Place, user: String? = nil, password: Secret? = nil, database: Int = 0) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    static let standardPort: UInt16 = 6_379

    /// A volume that is not there yet is made at the first mount: nobody else could be using it.
    var isPrivate: Bool {
        switch place {
        case .embedded, .memory: true
        case .tcp, .unixSocket: false
        }
    }
}

extension Source: CustomStringConvertible {
    /// The source in its canonical form, with `***` for a password: fit for `ps`, logs and
    /// /proc/mounts. Parsing it again gives the same place and database.
    var description: String {
        switch place {
        case .tcp(let host, let port):
            let shownHost = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
            return "redis://\(credentials)\(shownHost):\(port)/\(database)"
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
