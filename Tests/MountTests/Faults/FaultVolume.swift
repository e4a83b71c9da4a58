import CLinux
import Foundation
import Primitives
import TestSupport

/// A volume for tests of faults, mounted by `apusfs mount --foreground` as a child of the test, so that the
/// exit status of the daemon is seen. Used by one test at a time; `cleanUp` leaves nothing behind.
final class FaultVolume: @unchecked Sendable {
    static let name = "faults"
    private static let readySeconds = 30
    private static let endSeconds = 60

    let source: String
    /// The mount point.
    let path: String
    private let flags: [String]
    private let logPath: String
    private let pidPath: String
    private let child = Locked<pid_t?>(nil)

    /// Formats a volume on `server`; it is not mounted yet. `source` is another way to the same server.
    convenience init(on server: RedisServer, source: String? = nil, flags: [String]) throws {
        try self.init(source: source ?? "unix://" + server.path, flags: flags)
        try Program.run(["format", "unix://" + server.path, "--volume", Self.name]).checked()
    }

    /// Another mount of the volume at `source`.
    init(source: String, flags: [String]) throws {
        let directory = try Workspace.shared.get().makeDirectory()
        self.source = source
        self.flags = flags
        path = directory + "/mnt"
        logPath = directory + "/log"
        pidPath = directory + "/pid"
        guard mkdir(path, 0o755) == 0 else { throw Errno(rawValue: errno) }
    }

    /// The daemon that serves the mount.
    var daemon: pid_t? { child.withLock { $0 } }

    /// Whether the daemon has not ended.
    var isServed: Bool { daemon.map { Mount.isRunning($0) } ?? false }

    func mount() throws {
        let words =
            [Program.path, "mount", source, path, "--volume", Self.name, "--foreground"]
            + ["--pid-file", pidPath, "--log-file", logPath] + flags
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
        let output = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer {
            close(nothing)
            close(output)
        }
        let started = apusfs_spawn(
            Program.path, pointers, environ, [nothing, output, output], 3, true)
        guard started > 0 else { throw Errno(rawValue: -started) }
        child.withLock { $0 = started }
        let isReady = Polling.wait(limitSeconds: Self.readySeconds) {
            // In this order: a dead mount that is still there does not answer.
            answers() && Mount.isMountPoint(path) || !isServed
        }
        guard isReady, isServed else { throw failure("the mount does not answer") }
    }

    private func answers() -> Bool {
        do throws(Errno) {
            _ = try SystemCall.statvfs(path)
            return true
        } catch {
            return false
        }
    }

    /// Unmounts as a user does; the exit status of the daemon (128 + the signal that ended it).
    ///
    /// Whatever looks at every mount of the machine (df(1) does) is in each of them for a moment.
    func unmount(mayLoseData: Bool = false) throws -> Int32 {
        let deadline = Deadline.after(milliseconds: 10_000)
        var run = try Program.run(["umount", path])
        while run.errors.contains("in use"), !deadline.hasPassed {
            run = try Program.run(["umount", path])
        }
        guard run.isSuccess || mayLoseData && run.errors.contains("could not be stored") else {
            throw failure("\(run)")
        }
        return try waitForDaemon()
    }

    /// Ends the daemon without warning (SIGKILL). The mount point stays and answers ENOTCONN.
    func killDaemon() throws {
        if let daemon { kill(daemon, SIGKILL) }
        _ = try waitForDaemon()
    }

    /// The exit status of a daemon that ends by itself.
    func waitForDaemon() throws -> Int32 {
        guard let daemon else { throw failure("no daemon runs") }
        var status: Int32 = 0
        let hasEnded = Polling.wait(limitSeconds: Self.endSeconds) {
            waitpid(daemon, &status, WNOHANG) == daemon
        }
        guard hasEnded else { throw failure("the daemon does not end") }
        child.withLock { $0 = nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    /// `apusfs check` of the volume, mounted or not.
    func check(_ more: [String] = []) throws -> ProgramRun {
        try Program.run(["check", source, "--volume", Self.name] + more, limitSeconds: 120)
    }

    func log() -> String {
        FileManager.default.contents(atPath: logPath).map { String(decoding: $0, as: UTF8.self) }
            ?? "(no log)"
    }

    func failure(_ what: String) -> Mount.Failure {
        Mount.Failure(description: "\(what)\nlog of the daemon:\n\(log().suffix(6_000))")
    }

    /// Whatever state this is in: nothing is mounted, no daemon runs, afterwards.
    func cleanUp() {
        let flags = Int32(APUSFS_MNT_FORCE | APUSFS_MNT_DETACH)
        if let daemon { kill(daemon, SIGKILL) }
        if Mount.isMountPoint(path) { _ = apusfs_umount(path, flags) }
        if let daemon {
            var status: Int32 = 0
            while waitpid(daemon, &status, 0) == -1 && errno == EINTR {}
        }
        child.withLock { $0 = nil }
        rmdir(path)
        unlink(pidPath)
    }
}
