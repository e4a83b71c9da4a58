import Glibc
import Logging
import Primitives

/// A private redis-server for the data in one directory, shared by every process of this host that
/// uses that directory.
///
/// Invariants:
///  1. At most one server works on a directory: it inherits the lock on `server.lock` and holds it for
///     as long as it lives, also when its socket or whoever started it is gone.
///  2. It is started and stopped under `apusfs.lock` only.
///  3. Each user holds `apusfs.users` shared; the kernel lets go of it when the user dies. Whoever can
///     take it exclusively while leaving was the last, and stops the server.
final class EmbeddedServer: Sendable {
    let directory: EmbeddedDirectory
    /// Where the server listens.
    let socketPath: String

    private let startLock: FileLock
    private let usersLock: FileLock
    private let logger: Logger
    private let state = Locked(State())

    private struct State {
        var isReleased = false
        var supervisor: EmbeddedSupervisor?
    }

    /// How long others may be busy starting or stopping the server.
    static let lockTimeoutMilliseconds = 150_000
    /// How long a server may take until it listens.
    static let startTimeoutMilliseconds = 60_000
    /// How long it may take to load its data: 100 GB at the 30 MB/s of a slow disk.
    static let loadTimeoutMilliseconds = 3_600_000
    /// How long it may take to write out its append-only file and end.
    static let stopTimeoutMilliseconds = 120_000

    private init(
        directory: EmbeddedDirectory, socketPath: String, startLock: FileLock,
        usersLock: FileLock, logger: Logger
    ) {
        self.directory = directory
        self.socketPath = socketPath
        self.startLock = startLock
        self.usersLock = usersLock
        self.logger = logger
    }

    /// Becomes a user of the server of that directory, which is started if it is not running, and
    /// waits until it has loaded its data. `progress` gets lines for people meanwhile; when it throws, the
    /// wait is over.
    static func acquire(
        directory path: String, mayCreate: Bool, logger: Logger,
        progress: (String) throws(CommandFailure) -> Void = { _ in }
    ) throws(CommandFailure) -> EmbeddedServer {
        let directory = try EmbeddedDirectory.open(path, mayCreate: mayCreate)
        let startLock = try FileLock(path: directory.startLock)
        let usersLock = try FileLock(path: directory.usersLock)
        let socket = try join(directory, startLock, usersLock, logger: logger)
        let server = EmbeddedServer(
            directory: directory, socketPath: socket, startLock: startLock, usersLock: usersLock,
            logger: logger)
        do throws(CommandFailure) {
            try EmbeddedStart.awaitData(socket: server.socketPath, directory, progress: progress)
        } catch {
            try server.release()
            throw error
        }
        return server
    }

    /// From now on the server is started again when it dies while this process uses it.
    func supervise() throws(CommandFailure) {
        let supervisor = try EmbeddedSupervisor(server: self, logger: logger)
        state.withLock { $0.supervisor = supervisor }
    }

    /// Ends the use. The last user stops the server, which writes everything out first, and waits for
    /// its end. Later calls do nothing.
    func release() throws(CommandFailure) {
        let (isFirst, supervisor) = state.withLock { state in
            defer {
                state.isReleased = true
                state.supervisor = nil
            }
            return (!state.isReleased, state.supervisor)
        }
        guard isFirst else { return }
        supervisor?.stop()
        try Self.takeStartLock(startLock, directory)
        defer {
            usersLock.release()
            startLock.release()
        }
        if usersLock.attempt(.exclusive) { try stopServer() }
    }

    /// Starts the server if it died. For the supervisor, which is a user.
    func recover() throws(CommandFailure) {
        try Self.takeStartLock(startLock, directory)
        defer { startLock.release() }
        _ = try Self.ensureRunning(directory, logger: logger)
    }

    // MARK: Under apusfs.lock

    private static func join(
        _ directory: EmbeddedDirectory, _ startLock: FileLock, _ usersLock: FileLock, logger: Logger
    ) throws(CommandFailure) -> String {
        try takeStartLock(startLock, directory)
        defer { startLock.release() }
        guard usersLock.attempt(.shared) else {
            throw CommandFailure("\(directory.usersLock): held by a program other than apusfs")
        }
        return try ensureRunning(directory, logger: logger)
    }

    private static func takeStartLock(
        _ lock: FileLock, _ directory: EmbeddedDirectory
    ) throws(CommandFailure) {
        guard lock.take(.exclusive, until: .after(milliseconds: lockTimeoutMilliseconds)) else {
            throw CommandFailure(
                "\(directory.startLock): another apusfs has been starting or stopping this store for "
                    + "more than \(lockTimeoutMilliseconds / 1_000) seconds")
        }
    }

    /// The socket of the running server, started here if there is none.
    private static func ensureRunning(
        _ directory: EmbeddedDirectory, logger: Logger
    ) throws(CommandFailure) -> String {
        let serverLock = try FileLock(path: directory.serverLock)
        let deadline = Deadline.after(milliseconds: startTimeoutMilliseconds)
        let sockets = try directory.possibleSockets()
        while true {
            if let socket = sockets.first(where: { ServerConnection(path: $0) != nil }) {
                return socket
            }
            // Nobody listens. If the lock is free there is no server, whatever files it left.
            if serverLock.attempt(.exclusive) { break }
            guard !deadline.hasPassed else {
                throw CommandFailure(
                    "\(directory.path): a redis-server holds this store but does not listen; see "
                        + "redis.pid and redis.log there, and end it with: kill PID")
            }
            Pause.brief()
        }
        return try EmbeddedStart.start(directory, holding: serverLock, logger: logger)
    }

    private func stopServer() throws(CommandFailure) {
        guard let connection = ServerConnection(path: socketPath),
            let id = connection.serverProcess, let process = ProcessHandle(id: id)
        else { return }
        // NOSAVE: no snapshot. The append-only file is written out and synchronised in any case.
        if case .error(let reason) = connection.ask("SHUTDOWN NOSAVE") {
            throw CommandFailure("\(directory.path): redis-server refuses to stop: \(reason)")
        }
        let deadline = Deadline.after(milliseconds: Self.stopTimeoutMilliseconds)
        guard process.awaitEnd(until: deadline) else {
            throw CommandFailure(
                "\(directory.path): redis-server (process \(id)) is still writing its data after "
                    + "\(Self.stopTimeoutMilliseconds / 1_000) seconds; it goes on by itself")
        }
        process.reap()
        directory.removeSocketDirectory(of: socketPath)
        logger.info("embedded server stopped", metadata: ["process": "\(id)"])
    }
}
