import Glibc
import Primitives

/// The directory of an embedded store and the files in it.
///
/// | file | is |
/// |---|---|
/// | `apusfs.lock` | held while the server is started or stopped; marks the directory as a store |
/// | `apusfs.users` | held, shared, by each process that uses the server |
/// | `server.lock` | held by the server itself for as long as it lives |
/// | `redis.conf`, `redis.log`, `redis.pid` | the server's; the first is written anew at each start |
/// | `redis.sock` | where it listens, unless this path is too long for a socket |
/// | `appendonlydir/` | the data |
struct EmbeddedDirectory: Equatable, Sendable {
    /// Absolute, with no symbolic link in it.
    let path: String

    var startLock: String { "\(path)/\(Self.marker)" }
    var usersLock: String { "\(path)/apusfs.users" }
    var serverLock: String { "\(path)/server.lock" }
    var configuration: String { "\(path)/redis.conf" }
    var log: String { "\(path)/redis.log" }

    private static let marker = "apusfs.lock"

    /// Opens the directory of a store. With `mayCreate` it is made, when there is none, with the
    /// directories above it, and an empty one is taken over. One with other files is refused.
    static func open(
        _ path: String, mayCreate: Bool
    ) throws(CommandFailure) -> EmbeddedDirectory {
        if mayCreate { try Directories.make(path, mode: 0o700) }
        guard let resolved = Directories.resolve(path) else {
            throw CommandFailure(path, "no embedded store there", errno: errno)
        }
        try requireOwnership(resolved)
        let names = try Directories.list(resolved)
        guard names.contains(marker) || names.isEmpty && mayCreate else {
            throw CommandFailure(
                names.isEmpty
                    ? "\(resolved): no embedded store; make one: apusfs format file:\(resolved)"
                    : "\(resolved): not an embedded store of ApusFS, and it holds other files")
        }
        guard chmod(resolved, 0o700) == 0 else {
            throw CommandFailure(resolved, "cannot make it private", errno: errno)
        }
        return EmbeddedDirectory(path: resolved)
    }

    private static func requireOwnership(_ path: String) throws(CommandFailure) {
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw CommandFailure(path, "no embedded store there", errno: errno)
        }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure("\(path): not a directory")
        }
        guard information.st_uid == geteuid() else {
            throw CommandFailure(
                "\(path): belongs to user \(information.st_uid); only that user can use this store")
        }
    }

    // MARK: The socket

    /// Where a server may be listening: in the directory, or, where that path is too long for a
    /// socket address (unix(7): 107 bytes), in a private directory of this user.
    func possibleSockets() throws(CommandFailure) -> [String] {
        let near = "\(path)/redis.sock"
        let far = "\(try RuntimeDirectory.path())/redis-\(Fingerprint.of(path))/redis.sock"
        return near.utf8.count <= SourceParser.maximumSocketPathBytes ? [near, far] : [far]
    }

    /// Where a new server is to listen; its directory is made if need be.
    func chooseSocket() throws(CommandFailure) -> String {
        let socket = try possibleSockets()[0]
        if let directory = farDirectory(of: socket) { try Directories.make(directory, mode: 0o700) }
        return socket
    }

    /// Removes what `chooseSocket` made, once the server has ended.
    func removeSocketDirectory(of socket: String) {
        guard let directory = farDirectory(of: socket) else { return }
        unlink(socket)
        rmdir(directory)
    }

    private func farDirectory(of socket: String) -> String? {
        let directory = String(socket.dropLast("/redis.sock".utf8.count))
        return directory == path ? nil : directory
    }

    // MARK: The configuration

    /// Append-only persistence, one fsync a second; nothing is ever evicted; no network.
    func configurationText(socket: String) -> String {
        """
        # Written by apusfs at each start of this server. Changes are lost.
        port 0
        unixsocket \(Self.quoted(socket))
        unixsocketperm 600
        dir \(Self.quoted(path))
        pidfile \(Self.quoted("\(path)/redis.pid"))
        logfile \(Self.quoted(log))
        daemonize no
        supervised no
        databases 1
        appendonly yes
        appendfsync everysec
        aof-use-rdb-preamble yes
        aof-load-truncated yes
        save ""
        maxmemory 0
        maxmemory-policy noeviction

        """
    }

    /// A word of a configuration file of Redis, in double quotes.
    static func quoted(_ text: String) -> String {
        let escaped = text.utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "\""): "\\\""
            case UInt8(ascii: "\\"): "\\\\"
            case 0x20...0x7E: String(UnicodeScalar(byte))
            default: "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return "\"\(escaped.joined())\""
    }
}
