import CLinux
public import Foundation
import Primitives

/// A redis-server of a test's own: a child process on a unix socket in a temporary directory, without
/// persistence unless `arguments` turn it on. It ends with the value that holds it.
public final class RedisServer: @unchecked Sendable {
    /// What kept a server from starting.
    public struct StartFailure: Error, CustomStringConvertible {
        public let description: String
    }

    private static let readyMilliseconds = 10_000

    public let directory: TemporaryDirectory
    /// The path of the unix socket.
    public var path: String { directory.path + "/redis.sock" }
    /// The TCP port, when one was asked for.
    public let port: Int?
    private let arguments: [String]
    private let isSentinel: Bool
    private let running = Locked<pid_t?>(nil)

    /// The process id while the server runs.
    public var pid: pid_t? { running.withLock { $0 } }

    /// Starts a server and waits until it takes connections. `arguments` are those of redis-server, such
    /// as `["--maxmemory", "4mb"]`, and win over those that are set here.
    public init(arguments: [String] = [], tcp: Bool = false) throws {
        directory = try TemporaryDirectory(prefix: "apusfs-redis")
        port = tcp ? try Self.freePort() : nil
        self.arguments = arguments
        isSentinel = false
        try start()
    }

    /// Starts a Redis Sentinel with these lines of configuration, on a TCP port and a unix socket. Like any
    /// sentinel it writes what it learns to that file.
    public init(sentinel lines: [String]) throws {
        directory = try TemporaryDirectory(prefix: "apusfs-sentinel")
        port = try Self.freePort()
        arguments = []
        isSentinel = true
        let all = [
            "port \(port ?? 0)", "unixsocket \(path)", "dir \(directory.path)", "bind 127.0.0.1",
            "logfile \(directory.path)/redis.log",
        ]
        try (all + lines).joined(separator: "\n")
            .write(toFile: configurationPath, atomically: true, encoding: .utf8)
        try start()
    }

    private var configurationPath: String { directory.path + "/sentinel.conf" }

    deinit { kill() }

    /// Starts the server again, after `stop` or `kill`, with the same arguments.
    public func start() throws { try prepareStart().begin() }

    /// Makes a process that waits to become the server. Starting one closes the files that the test has open,
    /// in the new process, which on a mount without its server takes until there is one.
    public func prepareStart() throws -> PreparedStart { try PreparedStart(of: self) }

    /// The words of the command line.
    var words: [String] {
        if isSentinel { return ["redis-server", configurationPath, "--sentinel"] }
        var words = ["redis-server", "--port", String(port ?? 0), "--unixsocket", path]
        words += ["--dir", directory.path, "--save", "", "--appendonly", "no"]
        words += ["--daemonize", "no", "--logfile", directory.path + "/redis.log"]
        words += ["--bind", "127.0.0.1", "--enable-debug-command", "local"]
        return words + arguments
    }

    /// `started` is the server from now on; waits until it takes connections.
    func adopt(_ started: pid_t) throws {
        running.withLock { $0 = started }
        let deadline = Deadline.after(milliseconds: Self.readyMilliseconds)
        while !canConnect() {
            var status: Int32 = 0
            if waitpid(started, &status, WNOHANG) == started {
                running.withLock { $0 = nil }
                throw StartFailure(description: "redis-server ended: \(log())")
            }
            guard !deadline.hasPassed else {
                kill()
                throw StartFailure(description: "redis-server is not ready: \(log())")
            }
            // Polling interval of a wait for a condition, not a guess of its duration.
            usleep(2_000)
        }
    }

    /// Ends the server as an administrator does, and waits until it is gone.
    public func stop() { end(with: SIGTERM) }

    /// Ends the server without warning (SIGKILL), and waits until it is gone.
    public func kill() { end(with: SIGKILL) }

    public func restart() throws {
        stop()
        try start()
    }

    /// Stops the process (SIGSTOP): connections are accepted by the kernel, and nothing is answered.
    public func pause() { signal(SIGSTOP) }

    public func `continue`() { signal(SIGCONT) }

    /// What the server wrote to its log.
    public func log() -> String {
        (try? String(contentsOfFile: directory.path + "/redis.log", encoding: .utf8)) ?? "(no log)"
    }

    /// For a failure: whether the server answers, and the end of its log.
    public var state: String {
        let answer = (try? cli("INFO", "persistence")) ?? "redis-cli does not run"
        return "server \(pid ?? 0): \(answer)\nlog of the server:\n\(log().suffix(2_000))"
    }

    /// Runs redis-cli against this server and returns what it printed, without the last newline.
    @discardableResult
    public func cli(_ words: String...) throws -> String { try cli(words: words) }

    @discardableResult
    public func cli(words: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["redis-cli", "-s", path] + words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// What the server answers to commands that need no quotes, in its protocol. No process is started for it:
    /// that takes as long as a mount without its server on which this process has files open.
    func answers(_ commands: [String]) throws -> String {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        let isConnected = withUnixAddress(path) { connect(descriptor, $0, $1) == 0 }
        guard isConnected else { throw Errno(rawValue: errno) }
        let question = Array(commands.map { $0 + "\r\n" }.joined().utf8)
        guard send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count
        else { throw Errno(rawValue: errno) }
        // The server closes the connection once it has answered.
        shutdown(descriptor, Int32(SHUT_WR))
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Errno(rawValue: errno) }
            if count == 0 { return String(decoding: all, as: UTF8.self) }
            all += buffer[..<count]
        }
    }

    private func signal(_ number: Int32) {
        running.withLock { pid in if let pid { _ = Glibc.kill(pid, number) } }
    }

    private func end(with number: Int32) {
        let ending = running.withLock { pid in
            defer { pid = nil }
            return pid
        }
        guard let ending else { return }
        _ = Glibc.kill(ending, number)
        // A paused process takes SIGTERM only once it runs again.
        _ = Glibc.kill(ending, SIGCONT)
        var status: Int32 = 0
        while waitpid(ending, &status, 0) == -1 && errno == EINTR {}
    }

    private func canConnect() -> Bool {
        withUnixAddress(path) { address, length in
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            return connect(descriptor, address, length) == 0
        }
    }

    /// A port that was free a moment ago.
    public static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0
                    && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard isBound else { throw StartFailure(description: "no free TCP port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// Calls `body` with the socket address of a path.
public func withUnixAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    precondition(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path), "path too long")
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
