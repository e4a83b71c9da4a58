import Glibc
import Logging
import Primitives

/// Starting one redis-server, step by step. Everything here happens under `apusfs.lock`, but for
/// `awaitData`.
enum EmbeddedStart {
    /// The log of the server is moved aside when it has grown to this.
    static let logLimitBytes = 4 << 20

    /// Starts the server, which inherits `lock`, and waits until it listens. Nothing is left running
    /// when this throws.
    static func start(
        _ directory: EmbeddedDirectory, holding lock: FileLock, logger: Logger
    ) throws(CommandFailure) -> String {
        guard let program = ChildProcess.find("redis-server") else {
            throw CommandFailure(
                "redis-server is not installed, and \(directory.path) needs it; "
                    + "run: apt-get install redis-server")
        }
        let socket = try directory.chooseSocket()
        try Directories.replace(
            directory.configuration, with: directory.configurationText(socket: socket))
        Directories.rotate(directory.log, limitBytes: logLimitBytes)
        let process: ProcessHandle
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            process = try ChildProcess.spawn(
                program, arguments: ["redis-server", directory.configuration],
                environment: Environment.withoutSecrets,
                descriptors: [nothing.raw, nothing.raw, nothing.raw, lock.raw])
        } catch {
            throw CommandFailure(program, "cannot start it", errno: error.rawValue)
        }
        try awaitListening(process, socket: socket, directory)
        logger.info(
            "embedded server started",
            metadata: ["process": "\(process.id)", "directory": "\(directory.path)"])
        return socket
    }

    private static func awaitListening(
        _ process: ProcessHandle, socket: String, _ directory: EmbeddedDirectory
    ) throws(CommandFailure) {
        let deadline = Deadline.after(milliseconds: EmbeddedServer.startTimeoutMilliseconds)
        while true {
            // The answer counts only if it comes from this process.
            if let connection = ServerConnection(path: socket),
                connection.serverProcess == process.id
            {
                return
            }
            if process.awaitEnd(until: .after(milliseconds: Int(Pause.milliseconds))) {
                let status = process.reap().map { " (\($0))" } ?? ""
                throw CommandFailure(
                    "\(directory.path): redis-server ended at its start\(status): "
                        + lastLogLine(directory))
            }
            if deadline.hasPassed {
                kill(process.id, SIGKILL)
                _ = process.awaitEnd(until: .after(milliseconds: 10_000))
                process.reap()
                throw CommandFailure(
                    "\(directory.path): redis-server does not listen on \(socket): "
                        + lastLogLine(directory))
            }
        }
    }

    /// Waits until the server has loaded its data.
    static func awaitData(
        socket: String, _ directory: EmbeddedDirectory,
        answerSeconds: Int = ServerConnection.answerTimeoutSeconds,
        progress: (String) throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        let deadline = Deadline.after(milliseconds: EmbeddedServer.loadTimeoutMilliseconds)
        var nextLine = Deadline.after(milliseconds: 1_000)
        while !deadline.hasPassed {
            guard let connection = ServerConnection(path: socket, answerSeconds: answerSeconds)
            else {
                // It ends when it cannot read its data; its log says why.
                throw CommandFailure(
                    "\(directory.path): redis-server ended while it loaded its data: "
                        + lastLogLine(directory))
            }
            // Without an answer it has ended, which the next look tells, or is slow: between two looks at
            // its clients it loads 2 MiB, which takes long where many want the processor and the disk.
            guard let answer = connection.ask("PING") else {
                Pause.brief()
                continue
            }
            switch answer {
            case .text, .list: return
            case .error(let reason) where reason.hasPrefix("LOADING"):
                if nextLine.hasPassed {
                    try progress("redis-server loads \(directory.path): \(loaded(connection))")
                    nextLine = .after(milliseconds: 1_000)
                }
                Pause.brief()
            case .error(let reason):
                throw CommandFailure("\(directory.path): redis-server answers: \(reason)")
            }
        }
        throw CommandFailure("\(directory.path): redis-server has been loading for too long")
    }

    private static func loaded(_ connection: ServerConnection) -> String {
        let key = "loading_loaded_perc:"
        guard case .text(let text) = connection.ask("INFO persistence"),
            let line = text.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix(key) })
        else { return "not known how far" }
        return "\(line.dropFirst(key.count)) %"
    }

    /// The last complaint in the server's log, or its last line.
    static func lastLogLine(_ directory: EmbeddedDirectory) -> String {
        guard let bytes = Directories.contents(of: directory.log, limit: logLimitBytes * 2) else {
            return "it wrote no log"
        }
        let lines = String(decoding: bytes.suffix(8_192), as: UTF8.self)
            .split(whereSeparator: \.isNewline)
        // Redis marks warnings with '#': `PID:ROLE DATE TIME # TEXT`.
        guard let line = lines.last(where: { $0.contains(" # ") }) ?? lines.last else {
            return "its log is empty"
        }
        let text = line.split(separator: " # ", maxSplits: 1).last ?? line
        return "\(text) (\(directory.log))"
    }
}
