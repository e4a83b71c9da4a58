import Glibc
import Primitives
import VolumeStore

/// One line on a terminal that says how far a check is; nothing where standard error is no terminal.
final class ProgressBar {
    private static let width = 30
    private static let intervalMilliseconds = 100

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var next = Deadline.now
    private var isShown = false

    func show(_ progress: CheckProgress) {
        guard isTerminal, next.hasPassed else { return }
        next = .after(milliseconds: Self.intervalMilliseconds)
        isShown = true
        write("\r\u{1B}[K" + Self.line(progress))
    }

    func clear() {
        guard isShown else { return }
        isShown = false
        write("\r\u{1B}[K")
    }

    static func line(_ progress: CheckProgress) -> String {
        let what = "round \(progress.round), \(progress.stage.rawValue)"
        guard progress.total > 0 else { return "\(what): \(progress.done)" }
        let done = min(progress.done, progress.total)
        let filled = Int(done * UInt64(width) / progress.total)
        let bar =
            String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        return "[\(bar)] \(done * 100 / progress.total)% \(what): \(progress.done)"
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
