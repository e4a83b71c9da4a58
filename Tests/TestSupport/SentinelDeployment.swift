import Primitives

/// A primary, its replica and the sentinels that watch them, all processes of this host. Used by one test at
/// a time.
public final class SentinelDeployment {
    public static let name = "the-primary"
    /// A failover needs a second or three.
    private static let patienceSeconds = 60

    public private(set) var primary: RedisServer
    public private(set) var replica: RedisServer
    public let sentinels: [RedisServer]

    /// `arguments` are those of primary and replica; `password` is what sentinels want from whoever asks.
    public init(
        sentinels count: Int = 1, arguments: [String] = [], password: String? = nil
    ) throws {
        let more = ["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"]
        let first = try RedisServer(arguments: more + arguments, tcp: true)
        let second = try RedisServer(
            arguments: more + arguments + ["--replicaof", "127.0.0.1", "\(first.port ?? 0)"],
            tcp: true)
        try Self.follow(second, first)
        let name = Self.name
        let watching =
            [
                "sentinel monitor \(name) 127.0.0.1 \(first.port ?? 0) \(count / 2 + 1)",
                "sentinel down-after-milliseconds \(name) 1500",
                "sentinel failover-timeout \(name) 6000",
            ] + (password.map { ["requirepass \($0)"] } ?? [])
        sentinels = try (0..<count).map { _ in try RedisServer(sentinel: watching) }
        // Asks servers for their state twice a second instead of every ten seconds.
        for sentinel in sentinels {
            _ = try sentinel.answers([
                (password.map { "AUTH \($0)\r\n" } ?? "")
                    + "SENTINEL DEBUG info-period 500 min-link-reconnect-period 100"
            ])
        }
        primary = first
        replica = second
        for sentinel in sentinels {
            try Self.wait("a sentinel knows the others") {
                let login = password.map { ["AUTH \($0)"] } ?? []
                let text = try sentinel.answers(login + ["INFO sentinel"])
                return text.contains("slaves=1,sentinels=\(count)")
            }
        }
    }

    /// As ApusFS is told it. A sentinel that is not there is named first.
    public var source: String {
        let hosts = ["127.0.0.1:1"] + sentinels.map { "127.0.0.1:\($0.port ?? 0)" }
        return "redis-sentinel://\(hosts.joined(separator: ","))/\(Self.name)"
    }

    /// Waits until the replica was made the primary, which is what it is from then on.
    public func waitForFailover() throws {
        let chosen = replica
        let port = "\(chosen.port ?? 0)"
        try Self.wait("the replica is promoted, and the sentinels say so") {
            for sentinel in sentinels {
                let question = "SENTINEL GET-MASTER-ADDR-BY-NAME \(Self.name)"
                guard try sentinel.answers([question]).contains("\r\n\(port)\r\n") else {
                    return false
                }
            }
            return try chosen.answers(["INFO replication"]).contains("role:master")
        }
        (primary, replica) = (replica, primary)
    }

    /// Has the server that is no primary any more, and was started again, follow the one that is. Sentinels do
    /// that themselves, later.
    public func follow() throws {
        // No sentinel may choose it before it has everything, should the new primary be slow for a moment.
        let words = [
            "CONFIG SET replica-priority 0", "REPLICAOF 127.0.0.1 \(primary.port ?? 0)",
        ]
        // Not while it loads its data.
        try Self.wait("the old primary becomes a replica") {
            try replica.answers(words).hasPrefix("+OK\r\n+OK")
        }
        try Self.follow(replica, primary)
        _ = try replica.answers(["CONFIG SET replica-priority 100"])
    }

    /// Waits until the sentinels would choose the replica if the primary failed.
    public func waitForSentinels() throws {
        let port = "\(primary.port ?? 0)"
        for sentinel in sentinels {
            try Self.wait("the sentinels know the new primary and its replica") {
                let text = try sentinel.answers([
                    "SENTINEL GET-MASTER-ADDR-BY-NAME \(Self.name)",
                    "SENTINEL REPLICAS \(Self.name)",
                ])
                let lines = text.split(whereSeparator: \.isNewline)
                // A line `$5` for its length stands between the name and the value.
                let isWell = lines.indices.dropLast(2).contains {
                    lines[$0] == "flags" && lines[$0 + 2] == "slave"
                }
                return lines.dropFirst(4).first.map { $0 == port } ?? false && isWell
            }
        }
    }

    private static func follow(_ replica: RedisServer, _ primary: RedisServer) throws {
        try wait("the replica follows") {
            try replica.answers(["INFO replication"]).contains("master_link_status:up")
                && primary.answers(["INFO replication"]).contains("state=online")
        }
    }

    private static func wait(_ what: String, _ condition: () throws -> Bool) throws {
        guard try Polling.wait(limitSeconds: patienceSeconds, condition) else {
            throw RedisServer.StartFailure(description: "in vain: \(what)")
        }
    }
}
