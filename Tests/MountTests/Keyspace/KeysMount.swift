import CLinux
import Foundation
import Primitives
import TestSupport

/// The keys of a redis-server, mounted by the real program. Made by `withKeys`, which leaves nothing behind.
final class KeysMount {
    let path: String
    let server: RedisServer
    let directory: String
    private let flags: [String]
    /// `user:password`, where the server wants them.
    private let credentials: String?
    private let watchdog: Watchdog

    init(
        _ server: RedisServer, flags: [String], credentials: String? = nil, limitSeconds: Int
    ) throws {
        self.server = server
        self.flags = flags
        self.credentials = credentials
        directory = try Workspace.shared.get().makeDirectory()
        path = directory + "/mnt"
        watchdog = Watchdog(pidPath: directory + "/pid")
        try SystemCall.mkdir(path)
        try mount()
        watchdog.start(limitSeconds: limitSeconds)
    }

    var source: String { "unix://" + (credentials.map { $0 + "@" } ?? "") + server.path }

    func words(_ more: [String] = []) -> [String] {
        ["keys", source, path, "--pid-file", directory + "/pid"]
            + ["--log-file", directory + "/log"] + flags + more
    }

    func mount() throws { try Program.run(words()).checked() }

    func unmount() throws { try Program.run(["umount", path]).checked() }

    func remount() throws {
        try unmount()
        try mount()
    }

    func log() -> String {
        (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? "(no log)"
    }

    var daemon: pid_t? {
        (try? String(contentsOfFile: directory + "/pid", encoding: .utf8))
            .flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// Runs a shell script in the mount and returns what it prints.
    @discardableResult
    func shell(_ script: String) throws -> String {
        let environment = [
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
        ]
        return try ProgramRun.run(
            ["sh", "-euc", script], in: path, environment: environment
        ).checked().output
    }

    /// What redis-cli prints.
    @discardableResult
    func cli(_ words: String...) throws -> String { try server.cli(words: words) }

    /// Waits until a command of redis-cli prints this.
    func await(_ words: String..., is text: String) throws -> Bool {
        try Polling.wait { try server.cli(words: words) == text }
    }

    func cleanUp() {
        watchdog.stop()
        if Mount.isMountPoint(path) { _ = apusfs_umount(path, Int32(APUSFS_MNT_DETACH)) }
        if let daemon, Mount.isRunning(daemon) { kill(daemon, SIGKILL) }
        rmdir(path)
    }

    /// Every key with a digest of its value and its expiry.
    func dump() throws -> [String: String] {
        let script = """
            local all = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              all[#all + 1] = redis.sha1hex(key) .. ' ' .. redis.sha1hex(redis.call('DUMP', key))
                .. ' ' .. redis.call('PEXPIRETIME', key)
            end
            return all
            """
        let lines = try cli("EVAL", script, "0").split(separator: "\n")
        return lines.reduce(into: [:]) { all, line in
            let parts = line.split(separator: " ", maxSplits: 1)
            all[String(parts[0])] = String(parts[1])
        }
    }

    /// Bytes that the server has sent since CONFIG RESETSTAT, this question's answer not included.
    func sentBytes() throws -> Int? {
        try cli("INFO", "stats").split(whereSeparator: \.isNewline)
            .first { $0.hasPrefix("total_net_output_bytes:") }
            .flatMap { Int($0.split(separator: ":")[1]) }
    }

    /// How often commands were called since CONFIG RESETSTAT, those of scripts included.
    func commandCalls() throws -> [String: Int] {
        let lines = try cli("INFO", "commandstats").split(whereSeparator: \.isNewline)
        return lines.reduce(into: [:]) { calls, line in
            guard line.hasPrefix("cmdstat_"), let colon = line.firstIndex(of: ":"),
                let equals = line.firstIndex(of: "=")
            else { return }
            let count = line[line.index(after: equals)...].prefix { $0.isNumber }
            calls[String(line[..<colon].dropFirst("cmdstat_".count))] = Int(count)
        }
    }
}

/// Runs `body` with the keys of a server mounted, then unmounts as a user does.
@discardableResult
func withKeys<Result>(
    _ server: RedisServer? = nil, flags: [String] = ["--write"], credentials: String? = nil,
    limitSeconds: Int = 240, prepare: (RedisServer) throws -> Void = { _ in },
    _ body: (KeysMount) throws -> Result
) throws -> Result {
    let server = try server ?? RedisServer()
    try prepare(server)
    let mount = try KeysMount(
        server, flags: flags, credentials: credentials, limitSeconds: limitSeconds)
    defer { mount.cleanUp() }
    do {
        let result = try body(mount)
        try mount.unmount()
        return result
    } catch {
        throw Mount.Failure(description: "\(error)\nlog:\n\(mount.log().suffix(4_000))")
    }
}
