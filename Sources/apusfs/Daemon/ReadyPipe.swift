import Glibc
import Primitives

/// What the process behind a mount tells whoever started it, one line each, until the mount answers.
enum MountMessage: Equatable, Sendable {
    /// It takes a while: for people who wait.
    case progress(String)
    /// The mount works, but there is something that people should know.
    case warning(String)
    case ready
    case failed(ExitStatus, String)

    /// `KIND [STATUS] TEXT`
    var line: String {
        switch self {
        case .progress(let text): "progress \(TextLogHandler.oneLine(text))"
        case .warning(let text): "warning \(TextLogHandler.oneLine(text))"
        case .ready: "ready"
        case .failed(let status, let text):
            "failed \(status.rawValue) \(TextLogHandler.oneLine(text))"
        }
    }

    init?(line: some StringProtocol) {
        let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = parts.count == 2 ? String(parts[1]) : ""
        switch parts.first.map({ String($0) }) {
        case "progress": self = .progress(rest)
        case "warning": self = .warning(rest)
        case "ready": self = .ready
        case "failed":
            let parts = rest.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, let code = Int32(parts[0]),
                let status = ExitStatus(rawValue: code)
            else { return nil }
            self = .failed(status, String(parts[1]))
        default: return nil
        }
    }
}

/// Takes the messages of a mount: prints them, or sends them to the process that waits.
final class MountReporter: Sendable {
    /// Nil: to standard error, for a mount in the foreground.
    private let pipe: Locked<OwnedDescriptor?>
    private let isForeground: Bool

    init(pipe: OwnedDescriptor?) {
        self.pipe = Locked(pipe)
        isForeground = pipe == nil
    }

    func send(_ message: MountMessage) {
        guard !isForeground else { return Self.show(message) }
        let descriptor = pipe.withLock { pipe in
            defer {
                switch message {
                case .ready, .failed: pipe = nil
                case .progress, .warning: break
                }
            }
            return pipe
        }
        do throws(Errno) {
            try descriptor?.writeAll(Array("\(message.line)\n".utf8))
        } catch {
            // Whoever started the mount has gone; the mount is not told to end by that.
            pipe.withLock { $0 = nil }
        }
    }

    /// For people.
    static func show(_ message: MountMessage) {
        switch message {
        case .progress(let text): Console.error(text)
        case .warning(let text): Console.error("warning: \(text)")
        case .ready, .failed: break
        }
    }
}

/// Standard output and standard error, for people.
enum Console {
    static func error(_ text: String) { write("apusfs: \(text)\n", to: STDERR_FILENO) }
    static func print(_ text: String) { write("\(text)\n", to: STDOUT_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
