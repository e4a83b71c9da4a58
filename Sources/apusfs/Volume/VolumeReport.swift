import Codecs
import Glibc
import KeyValue
import Logging
import Primitives
import Telemetry
import VolumeStore

/// What `apusfs status` tells, in the order of its text. The keys of the JSON are stable.
struct VolumeReport: Codable, Sendable {
    var source: String
    var volume: Volume?
    /// `keys` for what is no volume.
    var view: String?
    var usage: Usage?
    var store: Store
    var warnings: [String]
    var sessions: [Session]
    var mount: Mount?

    struct Volume: Codable, Sendable {
        var name: String
        var uuid: String
        var format: Int
        var blockSizeBytes: Int
        var codec: String
        var compressionThresholdBytes: Int
        /// RFC 3339.
        var created: String
    }

    struct Usage: Codable, Sendable {
        var inodes: UInt64
        /// What the stored blocks would take if each were full and not compressed.
        var storedBytes: UInt64
    }

    struct Store: Codable, Sendable {
        var product: String
        var usedBytes: UInt64
        /// 0: no limit.
        var limitBytes: UInt64
        var mayEvict: Bool
        /// `none`, `snapshots`, `everySecond`, `always`
        var persistence: String
        var isReadOnly: Bool
        /// Connected just now.
        var replicas: Int

        init(_ status: StoreStatus) {
            replicas = status.replicas
            product = status.product
            usedBytes = status.usedBytes
            limitBytes = status.limitBytes
            mayEvict = status.mayEvict
            persistence = status.persistence.rawValue
            isReadOnly = status.isReadOnly
        }
    }

    struct Session: Codable, Sendable {
        var id: UInt64
        var host: String
        var process: Int32
        var mountPoint: String
        var version: String
        var since: String
        /// Negative: it is over, and nobody has cleaned up yet.
        var leaseMilliseconds: Int64
        /// This and the next as of the last renewal of the lease, every 10 s.
        var openFiles: UInt64
        var heldLocks: UInt64
    }

    struct Mount: Codable, Sendable {
        var mountPoint: String
        var process: Int32
        var isReadOnly: Bool
        var since: String
        var logFile: String?

        init(_ record: MountRecord) {
            mountPoint = record.mountPoint
            process = record.process
            isReadOnly = record.isReadOnly
            since = ClockText.utc(Timestamp(nanoseconds: record.since))
            logFile = record.logFile
        }
    }
}

extension VolumeReport {
    /// A volume that was just made.
    init(volume: VolumeSettings, source: Source, status: StoreStatus) {
        self.source = "\(source)"
        self.volume = Volume(
            name: volume.name.text, uuid: volume.uuid, format: volume.formatVersion,
            blockSizeBytes: volume.blockSize.bytes, codec: volume.codec.name,
            compressionThresholdBytes: volume.compressionThresholdBytes,
            created: ClockText.utc(volume.createdAt))
        store = Store(status)
        warnings = StoreWarnings.about(status, source)
        sessions = []
    }

    /// Reads a volume; changes nothing in its store.
    static func read(_ source: Source, volume: String) throws(CommandFailure) -> VolumeReport {
        guard source.place != .memory else {
            throw CommandFailure(
                "memory: can be seen only where it is mounted: apusfs status MOUNTPOINT",
                status: .usage)
        }
        let name = try OpenVolume.name(volume)
        let logger = Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() }
        return try StoreAccess.with(source, StoreAccess.Options(), logger: logger) {
            (access) throws(CommandFailure) in
            try read(access, name, logger: logger)
        }
    }

    /// The server of a mount that shows its keys.
    static func ofKeys(_ source: Source) throws(CommandFailure) -> VolumeReport {
        var options = StoreAccess.Options()
        options.isGuest = true
        let logger = Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() }
        return try StoreAccess.with(source, options, logger: logger) {
            (access) throws(CommandFailure) in
            let status = try status(of: access)
            return VolumeReport(
                source: "\(source)", volume: nil, view: "keys", usage: nil, store: Store(status),
                warnings: StoreWarnings.aboutTrust(in: source), sessions: [], mount: nil)
        }
    }

    static func status(of access: StoreAccess) throws(CommandFailure) -> StoreStatus {
        do throws(StoreError) {
            return try access.store.status()
        } catch {
            throw StoreFailure.describe(error, access.source)
        }
    }

    private static func read(
        _ access: StoreAccess, _ name: VolumeName, logger: Logger
    ) throws(CommandFailure) -> VolumeReport {
        let status = try status(of: access)
        do throws(VolumeError) {
            let settings = try VolumeStore.readSettings(access.store, name: name)
            var report = VolumeReport(volume: settings, source: access.source, status: status)
            let store = try VolumeStore(
                store: access.store, settings: settings,
                session: SessionDescription(
                    host: Host.name, processID: getpid(), mountPoint: "", version: Version.apusfs),
                isReadOnly: true, metrics: Metrics(), logger: logger)
            do throws(Errno) {
                let figures = try store.statistics()
                report.usage = Usage(inodes: figures.inodes, storedBytes: figures.storedBytes)
                report.warnings += StoreWarnings.about(figures)
            } catch {
                report.warnings.append("\(access.source): the volume's counters: \(error)")
            }
            report.sessions = try VolumeStore.sessions(access.store, name: name).map {
                Session(
                    id: $0.id.rawValue, host: $0.host, process: $0.processID,
                    mountPoint: $0.mountPoint, version: $0.version,
                    since: ClockText.utc($0.startedAt), leaseMilliseconds: $0.leaseMilliseconds,
                    openFiles: $0.openFiles, heldLocks: $0.heldLocks)
            }
            return report
        } catch {
            throw StoreFailure.describe(error, access.source)
        }
    }

    /// A mount of `memory:`, whose store only its process can see: what statvfs(3) tells.
    static func ofMemory(_ record: MountRecord) -> VolumeReport {
        let status = StoreStatus(
            product: "memory", usedBytes: 0, limitBytes: 0, machineBytes: 0, mayEvict: false,
            persistence: .none, isReadOnly: false)
        var report = VolumeReport(
            source: "memory:", volume: nil, usage: nil,
            store: Store(status),
            warnings: StoreWarnings.about(status, Source(.memory)), sessions: [],
            mount: Mount(record))
        var information = statvfs()
        if statvfs(record.mountPoint, &information) == 0 {
            let used = UInt64(information.f_blocks - information.f_bfree)
            report.usage = Usage(
                inodes: UInt64(information.f_files - information.f_ffree),
                storedBytes: used * UInt64(information.f_frsize))
        }
        return report
    }
}

// MARK: For people

extension VolumeReport {
    var text: String {
        var lines: [(String, String)] = [("source", source)]
        if let view { lines.append(("shows", view)) }
        if let volume {
            lines += [
                ("volume", "\(volume.name), format \(volume.format), uuid \(volume.uuid)"),
                ("made", volume.created),
                ("blocks", "\(ByteSize(bytes: volume.blockSizeBytes)), codec \(volume.codec)"),
            ]
        }
        if let usage {
            let size = ByteSize.rounded(usage.storedBytes)
            lines.append(("holds", "\(usage.inodes) inodes, at most \(size) in blocks"))
        }
        let limit = store.limitBytes == 0 ? "no limit" : ByteSize.rounded(store.limitBytes)
        let used = ByteSize.rounded(store.usedBytes)
        lines.append(("store", "\(store.product), \(used) used, \(limit)\(durability)"))
        if let mount {
            let access = mount.isReadOnly ? "read-only" : "writable"
            lines.append(
                ("mounted", "\(mount.mountPoint), process \(mount.process), \(access)"))
            lines.append(("since", mount.since))
            if let logFile = mount.logFile { lines.append(("log", logFile)) }
        }
        for session in sessions {
            let lease = session.leaseMilliseconds < 0 ? ", lease is over" : ""
            lines.append(
                (
                    "session \(session.id)",
                    "\(session.host):\(session.mountPoint), process \(session.process), "
                        + "apusfs \(session.version), since \(session.since), "
                        + "\(session.openFiles) open files, \(session.heldLocks) locks\(lease)"
                ))
        }
        lines += warnings.map { ("warning", $0) }
        let width = lines.map { $0.0.count }.max() ?? 0
        return lines.map { name, value in
            "\(name):" + String(repeating: " ", count: width - name.count + 1) + value
        }.joined(separator: "\n")
    }

    private var durability: String {
        let replicas = store.replicas == 0 ? "" : ", replicas: \(store.replicas)"
        return persistence + replicas
    }

    private var persistence: String {
        switch StoreStatus.Persistence(rawValue: store.persistence) {
        case .some(.none), nil: ", keeps nothing across restarts"
        case .snapshots: ", keeps snapshots"
        case .everySecond: ", keeps all but the last second"
        case .always: ", keeps everything"
        }
    }
}
