/// Reads a source strictly: what is not one of the documented forms is refused with a line that says
/// which part is wrong. The line never holds the password, not even of a source that is malformed.
enum SourceParser {
    static let forms = """
        redis://[user[:password]@]host[:port][/db], redis-sentinel://host[:port],.../name[/db], \
        rediss:// or rediss-sentinel:// for the same by TLS, \
        unix:///path.sock[?db=N], file:DIR, memory:
        """

    /// As many as `SentinelGroup.maximumSentinels`.
    static let maximumSentinels = 16

    /// Redis refuses to be configured for more databases than fit an `int`; a number of at most six
    /// digits keeps arithmetic and messages short.
    static let maximumDatabase = 999_999

    /// `sockaddr_un.sun_path` holds 108 bytes with the NUL (unix(7)).
    static let maximumSocketPathBytes = 107

    static func parse(_ text: String) throws(CommandFailure) -> Source {
        guard !text.isEmpty else { throw refusal("the source is empty") }
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F || $0 == " " })
        else { throw refusal("the source holds a control character") }
        guard let colon = text.firstIndex(of: ":") else {
            throw text.contains("/")
                ? refusal("'\(text)' has no scheme; for a directory write file:\(text)")
                : refusal("'\(text)' is no source")
        }
        let rest = text[text.index(after: colon)...]
        switch text[..<colon] {
        case "redis": return try redis(rest)
        case "redis-sentinel": return try sentinels(rest)
        case "rediss": return byTLS(try redis(rest))
        case "rediss-sentinel": return byTLS(try sentinels(rest))
        case "unix": return try unixSocket(rest)
        case "file": return try embedded(rest)
        case "memory":
            guard rest.isEmpty else { throw refusal("nothing may follow 'memory:'") }
            return Source(.memory)
        case let scheme where scheme.contains("/") || scheme.contains("@"):
            throw refusal("the source has no scheme")
        case let scheme: throw refusal("unknown source scheme '\(scheme)'")
        }
    }

    /// Does `text` look like a source rather than like a directory?
    static func looksLikeSource(_ text: String) -> Bool {
        [
            "redis:", "rediss:", "redis-sentinel:", "rediss-sentinel:", "unix:", "file:", "memory:",
        ].contains { text.hasPrefix($0) }
    }

    private static func byTLS(_ source: Source) -> Source {
        var source = source
        source.tls = TLSSettings()
        return source
    }

    // MARK: One form each

    private static func redis(_ text: Substring) throws(CommandFailure) -> Source {
        let (credentials, address, query) = try split(text, scheme: "redis")
        guard query == nil else { throw refusal("a redis:// source takes no '?'") }
        let hostEnd = address.firstIndex(of: "/") ?? address.endIndex
        let (host, port) = try hostAndPort(address[..<hostEnd], Source.standardPort)
        let path = address[hostEnd...].dropFirst()
        return Source(
            .tcp(host: host, port: port), user: credentials.user, password: credentials.password,
            database: path.isEmpty ? 0 : try database(path))
    }

    private static func sentinels(_ text: Substring) throws(CommandFailure) -> Source {
        let (credentials, address, query) = try split(text, scheme: "redis-sentinel")
        guard query == nil else { throw refusal("a redis-sentinel:// source takes no '?'") }
        let parts = address.split(separator: "/", omittingEmptySubsequences: false)
        let words = parts[0].split(separator: ",", omittingEmptySubsequences: false)
        guard words.count <= maximumSentinels else {
            throw refusal("a source names at most \(maximumSentinels) sentinels")
        }
        let hosts = try words.map { word throws(CommandFailure) in
            let (host, port) = try hostAndPort(word, Source.standardSentinelPort)
            return Source.Host(name: host, port: port)
        }
        guard parts.count > 1, !parts[1].isEmpty else {
            throw refusal("the name of the primary is missing: redis-sentinel://host/name")
        }
        // What `sentinel monitor` takes.
        guard parts[1].utf8.allSatisfy(isHostByte) else {
            throw refusal("'\(parts[1])' is no name of a primary: A-Z a-z 0-9 . - _")
        }
        let number = parts.dropFirst(2).joined(separator: "/")
        return Source(
            .sentinels(hosts, primary: String(parts[1])), user: credentials.user,
            password: credentials.password, database: number.isEmpty ? 0 : try database(number[...])
        )
    }

    private static func unixSocket(_ text: Substring) throws(CommandFailure) -> Source {
        let (credentials, address, query) = try split(text, scheme: "unix")
        guard address.hasPrefix("/") else {
            throw refusal("a unix:// source needs an absolute path: unix:///run/redis/redis.sock")
        }
        guard let path = PercentCoding.decode(address), path.count > 1 else {
            throw refusal("the path of the unix:// source is malformed")
        }
        guard path.utf8.count <= maximumSocketPathBytes else {
            throw refusal(
                "the path of a unix socket has at most \(maximumSocketPathBytes) bytes, "
                    + "this one has \(path.utf8.count)")
        }
        var number = 0
        if let query {
            guard query.hasPrefix("db=") else {
                throw refusal("a unix:// source takes only '?db=N' behind its path")
            }
            number = try database(query.dropFirst(3))
        }
        return Source(
            .unixSocket(path: path), user: credentials.user, password: credentials.password,
            database: number)
    }

    private static func embedded(_ text: Substring) throws(CommandFailure) -> Source {
        var directory = text
        if directory.hasPrefix("//") {
            directory = directory.dropFirst(2)
            guard directory.hasPrefix("/") else {
                throw refusal("file: takes a directory of this machine: file:DIR or file:///DIR")
            }
        }
        guard !directory.isEmpty else { throw refusal("file: needs a directory: file:DIR") }
        return Source(.embedded(directory: String(directory)))
    }

    // MARK: Parts

    private typealias Parts = (
        credentials: (user: String?, password: Secret?), address: Substring, query: Substring?
    )

    /// Takes `//[user[:password]@]address[?query]` apart. The last `@` before the path ends the
    /// credentials, so that a password with an `@` that was not percent-coded cannot leak into the
    /// host.
    private static func split(_ text: Substring, scheme: String) throws(CommandFailure) -> Parts {
        guard text.hasPrefix("//") else { throw refusal("write \(scheme)://, with two slashes") }
        var rest = text.dropFirst(2)
        var credentials: (user: String?, password: Secret?) = (nil, nil)
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        if let at = rest[..<authorityEnd].lastIndex(of: "@") {
            credentials = try userAndPassword(rest[..<at])
            rest = rest[rest.index(after: at)...]
        } else if rest.contains("@"), scheme != "unix" {
            throw refusal("a '/' or '?' in a user or password is written %2F or %3F")
        }
        guard !rest.contains("#") else { throw refusal("a source has no '#'; write it %23") }
        guard let mark = rest.firstIndex(of: "?") else { return (credentials, rest, nil) }
        return (credentials, rest[..<mark], rest[rest.index(after: mark)...])
    }

    private static func userAndPassword(
        _ text: Substring
    ) throws(CommandFailure) -> (user: String?, password: Secret?) {
        let colon = text.firstIndex(of: ":")
        guard let user = PercentCoding.decode(text[..<(colon ?? text.endIndex)]) else {
            throw refusal("the user of the source is malformed; '%' is written %25")
        }
        guard let colon else {
            guard !user.isEmpty else { throw refusal("nothing stands before the '@'") }
            return (user, nil)
        }
        guard let password = PercentCoding.decode(text[text.index(after: colon)...]) else {
            throw refusal("the password of the source is malformed; '%' is written %25")
        }
        return (user.isEmpty ? nil : user, password.isEmpty ? nil : Secret(password))
    }

    private static func hostAndPort(
        _ text: Substring, _ standardPort: UInt16
    ) throws(CommandFailure) -> (host: String, port: UInt16) {
        var rest = text
        let host: Substring
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else {
                throw refusal("the '[' of an IPv6 address needs its ']'")
            }
            host = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
            // `fe80::1%eth0`: an address and, for a link-local one, its interface (RFC 4007).
            let address = host.prefix { $0 != "%" }
            guard address.contains(":"), address.allSatisfy({ $0.isHexDigit || ":.".contains($0) }),
                host[address.endIndex...].dropFirst().utf8.allSatisfy(isHostByte)
            else { throw refusal("'[\(host)]' is no IPv6 address") }
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = rest[..<end]
            rest = rest[end...]
            guard !host.isEmpty else { throw refusal("the source names no host") }
            guard host.utf8.allSatisfy(isHostByte) else { throw refusal("'\(host)' is no host") }
        }
        if rest.isEmpty { return (String(host), standardPort) }
        guard rest.hasPrefix(":") else { throw refusal("only ':port' may follow the host") }
        let digits = rest.dropFirst()
        guard digits.allSatisfy(\.isASCIIDigit), let port = UInt16(digits), port > 0 else {
            // Not shown: where an '@' was forgotten, this is the password.
            throw refusal("the port is not 1 to 65535; an IPv6 address stands in [ ]")
        }
        return (String(host), port)
    }

    private static func database(_ text: Substring) throws(CommandFailure) -> Int {
        guard text.allSatisfy(\.isASCIIDigit), let number = Int(text), number <= maximumDatabase
        else {
            throw refusal("'\(text)' is no number of a Redis database: 0 to \(maximumDatabase)")
        }
        return number
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._".utf8.contains(byte)
        }
    }

    private static func refusal(_ reason: String) -> CommandFailure {
        CommandFailure("\(reason); a source is one of: \(forms)", status: .usage)
    }
}

extension Character {
    /// `0` to `9` and nothing else that Unicode calls a digit.
    var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
