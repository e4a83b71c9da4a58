import Glibc
import Logging
import Primitives
import TestSupport
import Testing

@testable import apusfs

@Suite(.serialized, .timeLimit(.minutes(2))) struct EmbeddedServerTests {
    private let directory: TemporaryDirectory
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws { directory = try TemporaryDirectory() }

    private var place: String { "\(directory.path)/store" }

    private func acquire(_ path: String? = nil, mayCreate: Bool = true) throws -> EmbeddedServer {
        try EmbeddedServer.acquire(
            directory: path ?? place, mayCreate: mayCreate, logger: logger)
    }

    private func ask(_ server: EmbeddedServer, _ command: String) throws -> ServerConnection.Answer
    {
        let connection = try #require(ServerConnection(path: server.socketPath))
        return try #require(connection.ask(command))
    }

    private func process(of server: EmbeddedServer) throws -> ProcessHandle {
        let connection = try #require(ServerConnection(path: server.socketPath))
        let id = try #require(connection.serverProcess)
        return try #require(ProcessHandle(id: id))
    }

    @Test func `a server starts in a private directory, without network or eviction`() throws {
        let server = try acquire()
        var information = stat()
        #expect(stat(place, &information) == 0 && information.st_mode & 0o777 == 0o700)
        #expect(stat(server.socketPath, &information) == 0 && information.st_mode & 0o777 == 0o600)
        for (name, value) in [
            ("port", "0"), ("appendonly", "yes"), ("appendfsync", "everysec"),
            ("maxmemory", "0"), ("maxmemory-policy", "noeviction"), ("save", ""),
        ] {
            #expect(try ask(server, "CONFIG GET \(name)") == .list([name, value]))
        }
        try server.release()
    }

    @Test func `a server that is slow to answer while it loads is waited for`() throws {
        let server = try acquire()
        let process = try process(of: server)
        #expect(kill(process.id, SIGSTOP) == 0)
        let socket = server.socketPath
        let failure = Locked<String?>(nil)
        let directory = EmbeddedDirectory(path: place)
        let begin = Deadline.now
        let waiting = TestThread(name: "waits") {
            do throws(CommandFailure) {
                try EmbeddedStart.awaitData(socket: socket, directory, answerSeconds: 1) { _ in }
            } catch {
                failure.withLock { $0 = error.message }
            }
        }
        // Longer than it waits for one answer.
        usleep(2_500_000)
        #expect(kill(process.id, SIGCONT) == 0)
        waiting.join()
        #expect(failure.withLock { $0 } == nil)
        #expect(begin.advanced(byMilliseconds: 2_000).hasPassed)
        try server.release()
    }

    @Test func `releasing the only use stops the server and keeps its data`() throws {
        let first = try acquire()
        #expect(try ask(first, "SET key kept") == .text("OK"))
        let process = try process(of: first)
        try first.release()
        #expect(process.awaitEnd(until: .now))
        #expect(ServerConnection(path: first.socketPath) == nil)

        let second = try acquire()
        #expect(try ask(second, "GET key") == .text("kept"))
        try second.release()
    }

    @Test func `releasing twice is releasing once`() throws {
        let server = try acquire()
        let other = try acquire()
        try server.release()
        try server.release()
        #expect(try ask(other, "PING") == .text("PONG"))
        try other.release()
        #expect(ServerConnection(path: other.socketPath) == nil)
    }

    @Test func `two uses share one server, and the last one stops it`() throws {
        let first = try acquire()
        let second = try acquire("\(directory.path)/./store/")
        #expect(try process(of: first).id == process(of: second).id)
        try first.release()
        #expect(try ask(second, "PING") == .text("PONG"))
        let process = try process(of: second)
        try second.release()
        #expect(process.awaitEnd(until: .now))
    }

    @Test func `a killed server is started again with what it had`() throws {
        let first = try acquire()
        #expect(try ask(first, "SET key kept") == .text("OK"))
        let dead = try process(of: first)
        kill(dead.id, SIGKILL)
        #expect(dead.awaitEnd(until: .after(milliseconds: 10_000)))
        // Its socket and its file with the process number are still there.
        #expect(access(first.socketPath, F_OK) == 0)
        let second = try acquire()
        #expect(try ask(second, "GET key") == .text("kept"))
        #expect(try process(of: second).id != dead.id)
        try second.release()
        #expect(try ask(first, "PING") == .text("PONG"))
        try first.release()
        #expect(ServerConnection(path: first.socketPath) == nil)
    }

    @Test func `a supervised server comes back by itself, and release still stops it`() throws {
        let server = try acquire()
        try server.supervise()
        let dead = try process(of: server)
        kill(dead.id, SIGKILL)
        let deadline = Deadline.after(milliseconds: 30_000)
        var next: pid_t?
        while next == nil || next == dead.id {
            try #require(!deadline.hasPassed, "the server did not come back")
            next = ServerConnection(path: server.socketPath)?.serverProcess
            Pause.brief()
        }
        try server.release()
        #expect(ServerConnection(path: server.socketPath) == nil)
    }

    @Test func `a server that nobody uses any more is taken over`() throws {
        // As after a kill -9 of the process that mounted: its locks are gone, the server runs.
        var orphaned: EmbeddedServer? = try acquire()
        let socket = try #require(orphaned?.socketPath)
        let id = try #require(ServerConnection(path: socket)?.serverProcess)
        let process = try #require(ProcessHandle(id: id))
        orphaned = nil
        let next = try acquire()
        #expect(try self.process(of: next).id == process.id)
        try next.release()
        #expect(process.awaitEnd(until: .now))
    }

    @Test func `a directory too long for a socket gets one elsewhere, private and the same again`()
        throws
    {
        let long = "\(directory.path)/\(String(repeating: "d", count: 120))"
        let first = try acquire(long)
        let second = try acquire(long)
        #expect(first.socketPath.utf8.count <= 107)
        #expect(first.socketPath == second.socketPath)
        var information = stat()
        let parent = String(first.socketPath.dropLast("/redis.sock".count))
        #expect(stat(parent, &information) == 0 && information.st_mode & 0o777 == 0o700)
        try first.release()
        #expect(try ask(second, "PING") == .text("PONG"))
        try second.release()
        #expect(ServerConnection(path: second.socketPath) == nil)
        #expect(access(parent, F_OK) != 0)
    }

    @Test func `a second server never starts while one holds the directory`() throws {
        let server = try acquire()
        let process = try process(of: server)
        let lock = try FileLock(path: server.directory.serverLock)
        #expect(!lock.attempt(.exclusive))
        kill(process.id, SIGKILL)
        #expect(process.awaitEnd(until: .after(milliseconds: 10_000)))
        #expect(lock.attempt(.exclusive))
        lock.release()
        try server.release()
    }

    @Test func `data that cannot be read is a failure that names the log, and leaves no server`()
        throws
    {
        let server = try acquire()
        #expect(try ask(server, "SET key kept") == .text("OK"))
        try server.release()
        let data = "\(place)/appendonlydir"
        for name in try Directories.list(data) where name.hasSuffix(".incr.aof") {
            try Directories.replace("\(data)/\(name)", with: "this is no append-only file\n")
        }
        let failure = #expect(throws: CommandFailure.self) { try acquire() }
        #expect(failure?.message.contains("redis.log") == true, "\(failure?.message ?? "")")
        let lock = try FileLock(path: "\(place)/server.lock")
        #expect(lock.take(.exclusive, until: .after(milliseconds: 10_000)))
        lock.release()
    }

    @Test func `a directory with other files is refused and left as it is`() throws {
        #expect(mkdir(place, 0o755) == 0)
        try Directories.replace("\(place)/letter.txt", with: "dear")
        let failure = #expect(throws: CommandFailure.self) { try acquire() }
        #expect(failure?.message.contains("other files") == true)
        var information = stat()
        #expect(stat(place, &information) == 0 && information.st_mode & 0o777 == 0o755)
        #expect(try Directories.list(place) == ["letter.txt"])
    }

    @Test func `a store that is not there is not made by a look at it`() throws {
        #expect(throws: CommandFailure.self) { try acquire(mayCreate: false) }
        #expect(access(place, F_OK) != 0)
        #expect(mkdir(place, 0o755) == 0)
        #expect(throws: CommandFailure.self) { try acquire(mayCreate: false) }
        #expect(try Directories.list(place) == [])
    }

    @Test func `a directory of somebody else is refused`() throws {
        try #require(geteuid() == 0)
        #expect(mkdir(place, 0o700) == 0)
        #expect(chown(place, 12_345, 12_345) == 0)
        let failure = #expect(throws: CommandFailure.self) { try acquire() }
        #expect(failure?.message.contains("user 12345") == true)
    }

    @Test(arguments: [
        ("/a b", #""/a b""#), (#"/a"b\c"#, #""/a\"b\\c""#), ("/\u{E9}\n", #""/\xc3\xa9\x0a""#),
    ])
    func `paths are quoted for the configuration`(path: String, quoted: String) {
        #expect(EmbeddedDirectory.quoted(path) == quoted)
    }

    @Test func `a directory with quotes and other letters works`() throws {
        let server = try acquire("\(directory.path)/it's \"gr\u{FC}n\" \\ x")
        #expect(try ask(server, "PING") == .text("PONG"))
        try server.release()
    }
}
