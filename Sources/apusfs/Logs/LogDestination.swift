import CLinux
import Glibc
import Logging
import Primitives

/// Where log lines go: standard error, a file, or the system's log. Passwords are replaced by `***`
/// on the way.
final class LogDestination: Sendable {
    enum Place: Equatable, Sendable {
        case standardError
        case file(String)
        case systemLog
    }

    let place: Place
    private let secrets: [String]
    private let file: Locked<OwnedDescriptor?>

    /// Opens the place. A log file is made with mode 0600 if it is not there, and appended to.
    init(_ place: Place, secrets: [Secret]) throws(CommandFailure) {
        self.place = place
        self.secrets = SecretScrubber.forms(of: secrets)
        file = Locked(try Self.open(place))
    }

    /// Standard error with nothing to hide: for what happens before a source is known.
    init() {
        place = .standardError
        secrets = []
        file = Locked(nil)
    }

    /// Opens the log file again, after somebody moved it aside (SIGHUP).
    func reopen() throws(CommandFailure) {
        guard let fresh = try Self.open(place) else { return }
        file.withLock { $0 = fresh }
    }

    /// The log file also takes what the Swift runtime says when it stops the process.
    func takeStandardError() {
        file.withLock { file in
            if let file { dup2(file.raw, STDERR_FILENO) }
        }
    }

    func write(level: Logger.Level, time: Timestamp, message: String) {
        let message = SecretScrubber.scrub(message, of: secrets)
        switch place {
        case .systemLog: apusfs_system_log(level.systemPriority, message)
        case .standardError: Self.write("apusfs: \(level): \(message)\n", to: STDERR_FILENO)
        case .file:
            let descriptor = file.withLock { $0 }
            guard let descriptor else { return }
            Self.write("\(ClockText.utc(time)) \(level) \(message)\n", to: descriptor.raw)
        }
    }

    /// One call for a line, so that lines of several processes do not mix. A log that cannot be
    /// written to has nowhere to say so.
    private static func write(_ line: String, to descriptor: Int32) {
        var line = line
        line.withUTF8 { bytes in _ = Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    private static func open(_ place: Place) throws(CommandFailure) -> OwnedDescriptor? {
        guard case .file(let path) = place else { return nil }
        return try TrustedFile.open(path, O_WRONLY | O_APPEND | O_CREAT, called: "log file")
    }
}

extension Logger.Level {
    /// The priority of syslog(3).
    fileprivate var systemPriority: Int32 {
        switch self {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }
}

/// Takes passwords out of text.
enum SecretScrubber {
    /// The forms in which a password can occur: as it is, and percent-coded.
    static func forms(of secrets: [Secret]) -> [String] {
        Set(
            secrets.flatMap { [$0.reveal(), PercentCoding.encode($0.reveal(), keeping: "")] }
        ).filter { !$0.isEmpty }.sorted { $0.count > $1.count }
    }

    static func scrub(_ text: String, of secrets: [String]) -> String {
        secrets.reduce(text) { text, secret in
            text.contains(secret) ? text.replacing(secret, with: Secret.mask) : text
        }
    }
}

/// Times for log files.
enum ClockText {
    /// `2026-01-31T23:59:59.123Z` (RFC 3339).
    static func utc(_ time: Timestamp) -> String {
        var seconds = time_t(time.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let date = [Int(parts.tm_year) + 1_900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
        let clock = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)]
        let fraction = padded(Int(time.subsecondNanoseconds / 1_000_000), width: 3)
        return date.map { padded($0, width: 2) }.joined(separator: "-") + "T"
            + clock.map { padded($0, width: 2) }.joined(separator: ":") + ".\(fraction)Z"
    }

    private static func padded(_ number: Int, width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
