import CLinux
import Foundation
import Primitives
import TestSupport
import Testing

/// A volume of a test's own, mounted by the real program on a directory of its own. Made by `withMount`,
/// which leaves nothing behind; used by one test at a time.
final class Mount: @unchecked Sendable {
    /// What went wrong with the mount itself, as opposed to an operation on it.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static let volume = "test"
    private static let endLimitSeconds = 30

    /// The mount point.
    let path: String
    let store: Store
    /// Flags that every mount of this volume gets.
    let flags: [String]
    /// Instead of the server's own.
    private let otherSource: String?
    let logPath: String
    private let pidPath: String
    private let isMountedNow = Locked(false)
    private let watchdog: Watchdog

    var isMounted: Bool { isMountedNow.withLock { $0 } }

    /// Formats the volume if its store asks for that, with `layout` (`--codec`, `--block-size`), and
    /// mounts it.
    init(
        store kind: Store.Kind, server: RedisServer? = nil, layout: [String], flags: [String],
        limitSeconds: Int
    ) throws {
        let directory = try Workspace.shared.get().makeDirectory()
        store = try server.map { .redis($0) } ?? .make(kind, in: directory)
        otherSource = nil
        logPath = directory + "/log"
        pidPath = directory + "/pid"
        watchdog = Watchdog(pidPath: pidPath)
        if case .plain(let base) = store {
            path = "\(base)/\(UInt64.random(in: 0...UInt64.max))"
            self.flags = []
            guard mkdir(path, 0o755) == 0 else { throw Errno(rawValue: errno) }
            isMountedNow.withLock { $0 = true }
            return
        }
        path = directory + "/mnt"
        guard mkdir(path, 0o755) == 0 else { throw Errno(rawValue: errno) }
        if store.needsFormat {
            self.flags = flags
            try Program.run(["format", store.source, "--volume", Self.volume] + layout).checked()
        } else {
            self.flags = flags + layout
        }
        try mount()
        watchdog.start(limitSeconds: limitSeconds)
    }

    /// One of several mounts of a volume that is formatted already, which reaches its server by another
    /// source than the server's own.
    init(
        of server: RedisServer, through source: String, flags: [String], limitSeconds: Int
    ) throws {
        let directory = try Workspace.shared.get().makeDirectory()
        store = .redis(server)
        otherSource = source
        logPath = directory + "/log"
        pidPath = directory + "/pid"
        watchdog = Watchdog(pidPath: pidPath)
        path = directory + "/mnt"
        self.flags = flags
        guard mkdir(path, 0o755) == 0 else { throw Errno(rawValue: errno) }
        try mount()
        watchdog.start(limitSeconds: limitSeconds)
    }

    /// The process that serves the mount, from its pid file.
    var daemon: pid_t? {
        FileManager.default.contents(atPath: pidPath)
            .map { String(decoding: $0, as: UTF8.self) }
            .flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// The arguments of `apusfs` that mount this volume on `path`.
    func mountWords(_ more: [String] = []) -> [String] {
        [
            "mount", otherSource ?? store.source, path, "--volume", Self.volume,
            "--pid-file", pidPath,
        ]
            + ["--log-file", logPath] + Store.standardTransport + flags + more
    }

    func mount(_ more: [String] = []) throws {
        if case .plain = store { return }
        let run = try Program.run(mountWords(more))
        guard run.isSuccess else { throw Failure(description: "\(run)\n\(log())") }
        guard Self.isMountPoint(path) else {
            throw Failure(description: "\(run)\nreturned 0, and \(path) is no mount point")
        }
        isMountedNow.withLock { $0 = true }
    }

    /// Unmounts as a user does, and waits until the daemon has stored everything and is gone.
    func unmount() throws {
        if case .plain = store { return }
        let serving = daemon
        var run = try Program.run(["umount", path])
        // A process that a test's programs have started (rsync's, for one) can end a moment after them.
        _ = try Polling.wait(limitSeconds: 5) {
            if run.isSuccess || !run.errors.contains("in use") { return true }
            run = try Program.run(["umount", path])
            return run.isSuccess
        }
        guard run.isSuccess else { throw Failure(description: "\(run)\n\(log())") }
        guard !Self.isMountPoint(path) else {
            throw Failure(description: "\(run)\nreturned 0, and \(path) is still mounted")
        }
        isMountedNow.withLock { $0 = false }
        if let serving {
            let isGone = Polling.wait(limitSeconds: Self.endLimitSeconds) {
                !Self.isRunning(serving)
            }
            guard isGone else {
                throw Failure(description: "daemon \(serving) runs after umount\n\(log())")
            }
        }
    }

    /// Lets the kernel forget every entry and inode of this mount that nobody uses: a remount drops unused
    /// entries (reconfigure_super), and FUSE keeps no inode without one.
    func dropCaches() throws {
        if case .plain = store { return }
        try SystemCall.checkError(apusfs_remount(path, 0))
    }

    func remount(_ more: [String] = []) throws {
        try unmount()
        try mount(more)
    }

    /// Ends the daemon without warning (SIGKILL). The mount point stays and answers ENOTCONN: a thread gives
    /// up its open files before it is gone, and with the last one the kernel ends the connection.
    func killDaemon() throws {
        guard let daemon else { throw Failure(description: "no pid in \(pidPath)") }
        kill(daemon, SIGKILL)
        guard Polling.wait({ !Self.isRunning(daemon) && Self.threadCount(daemon) <= 1 }) else {
            throw Failure(description: "daemon \(daemon) survives SIGKILL")
        }
    }

    /// When the daemon has died in an earlier test, says so and mounts again, so that one test fails for it.
    func reviveIfDead() throws {
        guard throwsNotConnected() else { return }
        Issue.record("the daemon died in an earlier test of this suite:\n\(log().suffix(8_000))")
        try mount()
    }

    private func throwsNotConnected() -> Bool {
        do throws(Errno) {
            _ = try SystemCall.stat(path)
            return false
        } catch {
            return error.rawValue == ENOTCONN
        }
    }

    func log() -> String {
        FileManager.default.contents(atPath: logPath).map { String(decoding: $0, as: UTF8.self) }
            ?? "(no log)"
    }

    /// Whatever state this is in: nothing is mounted, no daemon runs, afterwards.
    func cleanUp() {
        watchdog.stop()
        if case .plain = store {
            _ = try? ProgramRun.run(["rm", "-rf", path])
            return
        }
        if Self.isMountPoint(path) { _ = apusfs_umount(path, Int32(APUSFS_MNT_DETACH)) }
        if let daemon, Self.isApusFS(daemon) { kill(daemon, SIGKILL) }
        Workspace.endServers(in: URL(fileURLWithPath: path).deletingLastPathComponent().path)
        rmdir(path)
        unlink(pidPath)
    }

    static func isMountPoint(_ path: String) -> Bool {
        let mounts = FileManager.default.contents(atPath: "/proc/self/mounts") ?? Data()
        return String(decoding: mounts, as: UTF8.self).split(separator: "\n").contains {
            $0.split(separator: " ").dropFirst().first.map(String.init) == path
        }
    }

    /// Does the process run? One that has ended and only waits for its parent does not.
    static func isRunning(_ pid: pid_t) -> Bool {
        guard let status = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else {
            return false
        }
        // pid (name) state ...: the name may hold anything, the last parenthesis ends it.
        let fields = String(decoding: status, as: UTF8.self)
        guard let end = fields.lastIndex(of: ")") else { return false }
        return !fields[end...].dropFirst(2).hasPrefix("Z")
    }

    /// A process whose first thread has ended shows as ended, however many of its threads still are there.
    private static func threadCount(_ pid: pid_t) -> Int {
        let manager = FileManager.default
        return (try? manager.contentsOfDirectory(atPath: "/proc/\(pid)/task").count) ?? 0
    }

    private static func isApusFS(_ pid: pid_t) -> Bool {
        let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
        return program.map { URL(fileURLWithPath: $0).lastPathComponent.hasPrefix("apusfs") }
            ?? false
    }
}

/// Runs `body` on a mount of its own, of a new volume on a store of its own or on `server`, then unmounts as
/// a user does. However it ends, nothing stays mounted.
@discardableResult
func withMount<Result>(
    store: Store.Kind = .redis, server: RedisServer? = nil, layout: [String] = [],
    flags: [String] = [], limitSeconds: Int = 240, _ body: (Mount) throws -> Result
) throws -> Result {
    let mount = try Mount(
        store: store, server: server, layout: layout, flags: flags, limitSeconds: limitSeconds)
    defer { mount.cleanUp() }
    let result: Result
    do {
        result = try body(mount)
    } catch {
        throw Mount.Failure(
            description: "\(error)\nlog of the mount:\n\(mount.log().suffix(4_000))")
    }
    if mount.isMounted { try mount.unmount() }
    return result
}
