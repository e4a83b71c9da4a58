import CFuse
import Glibc
import Logging
import Primitives

/// libfuse's messages. It has one place for them in the process, so with several servers the last one's
/// logger gets them all.
enum LibfuseLog {
    private struct State {
        var logger: Logger?
        var lastError: String?
    }

    /// Rank: lowest; the logger is called after letting go.
    private static let state = Locked(State())

    /// The last error of libfuse: why a mount failed.
    static var lastError: String? { state.withLock { $0.lastError } }

    static func forgetLastError() { state.withLock { $0.lastError = nil } }

    static func send(to logger: Logger) {
        state.withLock { $0.logger = logger }
        fuse_set_log_func { level, format, arguments in
            guard let format, let arguments else { return }
            LibfuseLog.write(level, format, arguments)
        }
    }

    /// Longer messages are cut.
    private static let messageBytes = 1_024

    private static func write(
        _ level: fuse_log_level, _ format: UnsafePointer<CChar>, _ arguments: CVaListPointer
    ) {
        let message = withUnsafeTemporaryAllocation(of: CChar.self, capacity: messageBytes) {
            buffer in
            guard let start = buffer.baseAddress else { return "" }
            vsnprintf(start, buffer.count, format, arguments)
            return String(cString: start)
        }
        let text = tidied(message)
        let isError = level.rawValue <= FUSE_LOG_ERR.rawValue
        let logger = state.withLock { state in
            if isError { state.lastError = text }
            return state.logger
        }
        logger?.log(level: logLevel(level), "\(text)")
    }

    /// One line, without libfuse's own prefixes.
    static func tidied(_ message: String) -> String {
        var text = message[...]
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        for prefix in ["fuse: ", "error: "] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
        }
        return text.split(separator: "\n").joined(separator: " ")
    }

    private static func logLevel(_ level: fuse_log_level) -> Logger.Level {
        switch level {
        case FUSE_LOG_EMERG, FUSE_LOG_ALERT, FUSE_LOG_CRIT: .critical
        case FUSE_LOG_ERR: .error
        case FUSE_LOG_WARNING: .warning
        case FUSE_LOG_NOTICE: .notice
        case FUSE_LOG_INFO: .info
        default: .debug
        }
    }
}
