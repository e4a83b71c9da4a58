import Foundation
import Primitives

/// A program that ran to its end, as a child of the test: its status and all that it printed.
public struct ProgramRun: Sendable, CustomStringConvertible {
    public let words: [String]
    /// The exit status; 128 + the signal when a signal ended it, as a shell has it.
    public let status: Int32
    public let output: String
    public let errors: String
    /// The time limit had passed, and the program was killed.
    public let isTimedOut: Bool

    public var isSuccess: Bool { status == 0 }

    /// For a failed expectation: what ran and the end of what it said.
    public var description: String {
        let limit = 4_000
        return """
            \(words.joined(separator: " ")): \(isTimedOut ? "killed at its time limit" : "status \(status)")
            \(output.suffix(limit))\(errors.suffix(limit))
            """
    }

    /// The program did not end with status 0.
    public struct Failure: Error, CustomStringConvertible {
        public let run: ProgramRun
        public var description: String { run.description }
    }

    /// This run, or `Failure` unless it ended with status 0.
    @discardableResult
    public func checked() throws -> ProgramRun {
        guard isSuccess else { throw Failure(run: self) }
        return self
    }

    /// Runs a program that is found in PATH, in a process group of its own, and waits for its end. What it
    /// prints goes to files, so that a daemon which it leaves behind keeps nobody waiting. At the time limit
    /// the whole group is killed.
    ///
    /// `environment` is added to that of the test; `input` is what it reads from its standard input.
    public static func run(
        _ words: [String], in directory: String? = nil, environment: [String: String] = [:],
        input: String = "", limitSeconds: Int = 120
    ) throws -> ProgramRun {
        let files = try TemporaryDirectory(prefix: "apusfs-run")
        let inputPath = files.path + "/in"
        try input.write(toFile: inputPath, atomically: false, encoding: .utf8)
        let chosenDirectory = directory.map { ["--chdir=" + $0] } ?? []
        let assignments = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let pid = try spawn(
            ["env"] + chosenDirectory + assignments + words, input: inputPath,
            output: files.path + "/out", errors: files.path + "/err")
        let (status, isTimedOut) = wait(
            for: pid, until: .after(milliseconds: limitSeconds * 1_000))
        return ProgramRun(
            words: words, status: status, output: text(files.path + "/out"),
            errors: text(files.path + "/err"), isTimedOut: isTimedOut)
    }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func spawn(
        _ words: [String], input: String, output: String, errors: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let creating = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, creating, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, creating, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, words[0], &actions, &attributes, pointers, environ)
        guard result == 0 else { throw Errno(rawValue: result) }
        return pid
    }

    private static func wait(
        for pid: pid_t, until deadline: Deadline
    ) -> (status: Int32, isTimedOut: Bool) {
        var status: Int32 = 0
        var isTimedOut = false
        while true {
            let answer = waitpid(pid, &status, isTimedOut ? 0 : WNOHANG)
            if answer == pid { break }
            precondition(answer == 0 || errno == EINTR, "waitpid of a child of ours")
            if deadline.hasPassed && !isTimedOut {
                isTimedOut = true
                kill(-pid, SIGKILL)
            }
            if !isTimedOut { Polling.pause() }
        }
        let signal = status & 0x7F
        return (signal == 0 ? (status >> 8) & 0xFF : 128 + signal, isTimedOut)
    }
}
