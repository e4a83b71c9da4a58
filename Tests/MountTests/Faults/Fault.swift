import Primitives
import TestSupport
import Testing

/// What happens to a mount under work. Each begins and ends at moments that a seed chooses.
enum Fault: String, CaseIterable, CustomTestStringConvertible {
    /// kill -9 of a server that stores before it answers.
    case serverKilledAlways
    /// kill -9 of a server that has its file written to the disk once a second.
    case serverKilledEverySecond
    /// kill -9 of a primary; Sentinel promotes its replica, and the old one comes back as the replica of that.
    case sentinelFailover
    case daemonKilled
    case bothKilled
    /// The machine of server and daemon loses power: of the server's file stays what had to be on disk, and
    /// some of the rest.
    case powerLost
    /// SIGSTOP of the server, for less than the time limit.
    case serverPaused
    /// SIGSTOP of the server, for longer than the time limit.
    case serverPausedTooLong
    case connectionsKilled
    /// Nothing passes, neither bytes nor news of the end of a connection, for less than the time limit.
    case blackhole
    case blackholeTooLong
    case memoryFull
    case diskFull

    var testDescription: String { rawValue }

    /// Flags of the mount.
    var flags: [String] {
        let limit = isTooLong ? "1s" : "60s"
        return [
            "--cache-size", "16M", "--flush-interval", "200ms", "--io-timeout", limit,
            "--entry-timeout", "0", "--attr-timeout", "0",
        ] + (self == .sentinelFailover ? ["--fsync-replicas", "1"] : [])
    }

    /// It lasts longer than an operation may take.
    var isTooLong: Bool {
        switch self {
        case .serverPausedTooLong, .blackholeTooLong: true
        default: false
        }
    }

    /// Operations may fail meanwhile. Otherwise each of them waits and succeeds.
    var mayFail: Bool {
        switch self {
        case .memoryFull, .diskFull: true
        default: isTooLong || endsDaemon
        }
    }

    /// The daemon does not survive it.
    var endsDaemon: Bool {
        switch self {
        case .daemonKilled, .bothKilled, .powerLost: true
        default: false
        }
    }

    var needsProxy: Bool {
        switch self {
        case .blackhole, .blackholeTooLong: true
        default: false
        }
    }

    /// The server's files are on a small disk in memory. A server that is killed loses nothing then: on a slow
    /// disk it may answer for two seconds before it has written, while a sync is under way (redis.conf,
    /// "appendfsync everysec").
    var needsSmallDisk: Bool { self == .diskFull || self == .serverKilledEverySecond }

    /// When the server writes its file to the disk.
    var appendfsync: String {
        switch self {
        case .serverKilledEverySecond, .powerLost, .diskFull: "everysec"
        default: "always"
        }
    }
}
