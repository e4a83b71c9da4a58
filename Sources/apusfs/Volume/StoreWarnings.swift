import KeyValue
import VolumeStore

/// What people should know about a server before they trust it with their files.
enum StoreWarnings {
    static func about(_ status: StoreStatus, _ source: Source) -> [String] {
        if case .memory = source.place {
            return ["memory: keeps everything in the mounting process: it is gone at unmount"]
        }
        var warnings = aboutTrust(in: source)
        if status.mayEvict {
            warnings.append(
                "\(source): THIS SERVER MAY DELETE FILES when it is full: set maxmemory-policy to "
                    + "noeviction (CONFIG SET maxmemory-policy noeviction)")
        }
        switch status.persistence {
        case .none:
            warnings.append(
                "\(source): NOTHING SURVIVES A RESTART of this server: turn on its append-only file "
                    + "(CONFIG SET appendonly yes)")
        case .snapshots:
            warnings.append(
                "\(source): a crash of this server loses what changed since its last snapshot, "
                    + "fsync or not: turn on its append-only file (CONFIG SET appendonly yes)")
        case .everySecond, .always: break
        }
        if status.isReadOnly {
            warnings.append("\(source): a replica that takes no changes")
        }
        return warnings
    }

    /// What speaking to it gives up.
    static func aboutTrust(in source: Source) -> [String] {
        guard source.tls?.isInsecure == true else { return [] }
        return [
            "\(source): --tls-insecure: ANYBODY BETWEEN HERE AND THE SERVER CAN PASS FOR IT, and read and "
                + "change passwords and files: name its authority with --tls-ca instead"
        ]
    }

    /// What a volume remembers.
    static func about(_ figures: StoredStatistics) -> [String] {
        guard figures.losses > 0 else { return [] }
        let when = figures.lastLoss.map { ", last noticed at \(ClockText.utc($0))" } ?? ""
        return [
            "THE STORE LOST CHANGES that it had acknowledged, \(figures.losses) times\(when); the logs of the "
                + "mounts say how many"
        ]
    }

    /// `--strict`: a server that may evict keys, or that keeps nothing or only snapshots, is refused.
    static func requireDurable(
        _ status: StoreStatus, _ source: Source
    ) throws(CommandFailure) {
        let isKept =
            switch status.persistence {
            case .none, .snapshots: false
            case .everySecond, .always: true
            }
        guard !isKept || status.mayEvict else { return }
        let reason = about(status, source).first ?? "\(source): loses what was synced"
        throw CommandFailure("--strict: \(reason)")
    }
}
