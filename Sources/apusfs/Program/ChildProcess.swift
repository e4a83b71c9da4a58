import CLinux
import Glibc
import Primitives

/// A process that somebody started, watched by a descriptor so that its number cannot come to mean
/// another process meanwhile (pidfd_open(2)).
final class ProcessHandle: Sendable {
    let id: pid_t
    private let descriptor: OwnedDescriptor

    /// `nil` when there is no such process.
    init?(id: pid_t) {
        let raw = apusfs_process_descriptor(id)
        guard raw >= 0 else { return nil }
        self.id = id
        descriptor = OwnedDescriptor(taking: raw)
    }

    /// Readable once the process has ended.
    var raw: Int32 { descriptor.raw }

    /// The effective user, from /proc/PID/status: the owner of /proc/PID is root for a process of which no
    /// core may be dumped.
    var userID: uid_t? {
        let status = Directories.contents(of: "/proc/\(id)/status", limit: 65_536) ?? []
        let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("Uid:") }) else { return nil }
        // `Uid: real effective saved filesystem`
        let numbers = line.split { $0 == "\t" || $0 == " " }.compactMap { uid_t($0) }
        return numbers.count == 4 ? numbers[1] : nil
    }

    /// Waits for the end of the process; false once the deadline has passed.
    func awaitEnd(until deadline: Deadline) -> Bool {
        !OwnedDescriptor.awaitReadable([descriptor.raw], until: deadline).isEmpty
    }

    /// The status of an ended child of ours, which thereby leaves the process table; nil for others.
    @discardableResult
    func reap() -> EndStatus? {
        var status: Int32 = 0
        while true {
            let result = waitpid(id, &status, WNOHANG)
            if result == id { return EndStatus(waitStatus: status) }
            if result < 0 && errno == EINTR { continue }
            return nil
        }
    }
}

/// How a process ended (wait(2)).
enum EndStatus: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited(waitStatus >> 8 & 0xFF) : .killed(signal: signal)
    }

    var description: String {
        switch self {
        case .exited(let code): "exit status \(code)"
        case .killed(let signal): "signal \(signal)"
        }
    }
}

/// Starts programs.
enum ChildProcess {
    /// Starts `path` in a session of its own. `descriptors[i]` becomes its descriptor i; it has no
    /// others.
    static func spawn(
        _ path: String, arguments: [String], environment: [String: String], descriptors: [Int32]
    ) throws(Errno) -> ProcessHandle {
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let result = withCStrings(arguments) { arguments in
            withCStrings(variables) { variables in
                apusfs_spawn(
                    path, arguments, variables, descriptors, Int32(descriptors.count), true)
            }
        }
        guard result > 0 else { throw Errno(rawValue: -result) }
        // The child is ours and not reaped yet, so its number is still its own.
        guard let handle = ProcessHandle(id: result) else { throw Errno(rawValue: errno) }
        return handle
    }

    /// What a program may print before its output is cut off.
    static let outputLimitBytes = 65_536

    /// Runs a program to its end, with what it prints.
    static func run(
        _ path: String, arguments: [String]
    ) throws(Errno) -> (status: EndStatus, output: String) {
        let (child, output) = try spawnReading(path, arguments: arguments)
        let bytes = try output.readAll(limit: outputLimitBytes)
        _ = OwnedDescriptor.awaitReadable([child.raw], until: nil)
        return (child.reap() ?? .exited(0), String(decoding: bytes, as: UTF8.self))
    }

    /// The write end of the pipe is closed here when this returns, so that the read end sees the end.
    private static func spawnReading(
        _ path: String, arguments: [String]
    ) throws(Errno) -> (ProcessHandle, OwnedDescriptor) {
        let output = try OwnedDescriptor.pipe()
        let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
        let child = try spawn(
            path, arguments: arguments, environment: Environment.all,
            descriptors: [nothing.raw, output.write.raw, output.write.raw])
        return (child, output.read)
    }

    /// The first file of that name in PATH and then in the places where Debian has it.
    static func find(_ name: String) -> String? {
        let path = Environment.all["PATH"] ?? ""
        let directories = path.split(separator: ":").map(String.init)
        return (directories + ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"])
            .map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        // SAFETY: every pointer is to a copy that is freed after `body`, which does not keep them.
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("an empty array") }
            return body(base)
        }
    }
}
