import Primitives

/// What a command could not do: one line for people that says what is wrong and how to mend it, and
/// the exit status that goes with it.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
    let message: String
    let status: ExitStatus

    init(_ message: String, status: ExitStatus = .failure) {
        self.message = message
        self.status = status
    }

    /// A system call that failed on something: `PATH: what: No such file or directory`.
    init(_ subject: String, _ action: String, errno code: Int32, status: ExitStatus = .failure) {
        self.init("\(subject): \(action): \(Errno(rawValue: code))", status: status)
    }

    /// The same failure where the command as a whole is answered with another status.
    func with(_ status: ExitStatus) -> CommandFailure {
        self.status == .failure ? CommandFailure(message, status: status) : self
    }

    var description: String { message }
}

/// Exit statuses: sysexits(3) for usage, mount(8) for mounting.
enum ExitStatus: Int32, Codable, Sendable {
    case success = 0
    /// A command failed. For a mount helper: wrong usage or not permitted (mount(8), "EXIT STATUS").
    case failure = 1
    /// mount(8): interrupted by the user.
    case interrupted = 8
    /// mount(8): the mount failed.
    case mountFailure = 32
    /// sysexits(3), EX_USAGE.
    case usage = 64
}
