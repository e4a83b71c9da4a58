import FileSystem
import FuseServer
import Glibc
import KeyValue
import KeyspaceFS
import Logging
import Primitives
import Redis
import Telemetry
import VolumeFS
import VolumeStore

/// One mount from its beginning to its end, in the process that serves it.
///
/// What is opened is closed in the opposite order, on every way out: the mount, the volume, the store,
/// the embedded server, the registration.
final class MountProcess: Sendable {
    private let plan: MountPlan
    private let reporter: MountReporter
    private let log: LogDestination
    private let logger: Logger
    private let metrics = Metrics()

    /// Blocked before any thread exists, and taken by a thread of its own.
    static let signals = [SIGINT, SIGTERM, SIGHUP]

    init(_ plan: MountPlan, reporter: MountReporter, log: LogDestination) {
        self.plan = plan
        self.reporter = reporter
        self.log = log
        let level: Logger.Level = plan.settings.isDebug ? .debug : .info
        logger = Logger(label: "apusfs") {
            TextLogHandler(label: $0, destination: log, level: level)
        }
    }

    /// Mounts and serves until somebody unmounts.
    func run() throws(CommandFailure) {
        handleSignals()
        let settings = plan.settings
        try MountPoint.requireFUSE(allowOther: settings.allowOther)
        let mountPoint = try MountPoint.prepare(
            plan.mountPoint, mayBeFilled: settings.allowNonEmpty
        ) { reporter.send(.warning($0)) }
        let registration = try MountRegistration(record(mountPoint))
        do throws(CommandFailure) {
            try withPidFile { () throws(CommandFailure) in try serve(at: mountPoint) }
        } catch {
            try registration.end(failure: stage.withLock { $0.wasReady } ? error.message : nil)
            throw error
        }
        try registration.end(failure: nil)
        // A log file that nobody asked for has nothing to tell after a good end.
        if !settings.isForeground, settings.logFile == nil { unlink(try plan.logPath()) }
    }

    private let stage = Locked(Stage())

    private struct Stage {
        /// The mount has answered.
        var wasReady = false
        /// Somebody wants it to end.
        var isEnding = false
        /// What is to be stopped then; nil before it is mounted.
        var server: FuseServer?
    }

    // MARK: Steps

    private func serve(at mountPoint: String) throws(CommandFailure) {
        let settings = plan.settings
        let access = try StoreAccess.open(
            plan.source,
            StoreAccess.Options(
                connections: settings.connections, ioTimeout: settings.ioTimeout,
                mayCreate: settings.keys == nil && !settings.isReadOnly, isSupervised: true,
                isGuest: settings.keys != nil,
                isReadOnly: settings.keys.map { !$0.isWritable } ?? settings.isReadOnly,
                replicas: settings.fsyncReplicas),
            metrics: metrics, logger: logger
        ) { (line) throws(CommandFailure) in
            try checkEnding()
            reporter.send(.progress(line))
        }
        do throws(CommandFailure) {
            try serve(access, at: mountPoint)
        } catch {
            try access.close()
            throw error
        }
        try access.close()
        logger.info("unmounted", metadata: ["mount": "\(mountPoint)"])
    }

    private func serve(_ access: StoreAccess, at mountPoint: String) throws(CommandFailure) {
        try checkEnding()
        let served: Served
        if let keys = plan.settings.keys {
            served = try openKeys(access, keys)
        } else {
            served = try openVolume(access, mountPoint)
        }
        let (fileSystem, status) = (served.fileSystem, served.status)
        let server = FuseServer(
            fileSystem: fileSystem, options: plan.fuseOptions(isReadOnly: served.isReadOnly),
            metrics: metrics, logger: logger)
        do throws(FuseError) {
            try server.mount(at: mountPoint)
        } catch {
            fileSystem.unmounted()
            throw CommandFailure("\(error)")
        }
        let isEnding = stage.withLock { stage in
            stage.server = server
            return stage.isEnding
        }
        if isEnding { server.requestStop() }
        do throws(FuseError) {
            try server.serve { [self] in announce(mountPoint, status) }
        } catch {
            throw CommandFailure("\(error)")
        }
        let lost = served.lostFileCount()
        guard lost == 0 else {
            throw CommandFailure(
                "changes of \(lost) file\(lost == 1 ? "" : "s") could not be stored, or not as "
                    + "safely as asked for; what is missing is lost")
        }
    }

    /// What is going to be mounted.
    private struct Served {
        var fileSystem: any FileSystemOperations
        var status: StoreStatus
        var isReadOnly: Bool
        var lostFileCount: () -> Int
    }

    private func openVolume(
        _ access: StoreAccess, _ mountPoint: String
    ) throws(CommandFailure) -> Served {
        let settings = plan.settings
        let volume = try OpenVolume.prepare(access, settings)
        try OpenVolume.requireBlockSize(volume, settings, plan.source)
        let status = try VolumeReport.status(of: access)
        // A replica refuses every change, so the mount refuses it first.
        let isReadOnly = settings.isReadOnly || status.isReadOnly
        if settings.isStrict { try StoreWarnings.requireDurable(status, plan.source) }
        warn(StoreWarnings.about(status, plan.source))
        let fileSystem = try makeFileSystem(access, volume, mountPoint, isReadOnly: isReadOnly)
        return Served(fileSystem: fileSystem, status: status, isReadOnly: isReadOnly) {
            fileSystem.lostFileCount
        }
    }

    private func openKeys(
        _ access: StoreAccess, _ keys: KeysSettings
    ) throws(CommandFailure) -> Served {
        guard let redis = access.store as? RedisStore else {
            throw CommandFailure("\(plan.source): is no Redis server", status: .usage)
        }
        let status = try VolumeReport.status(of: access)
        let isReadOnly = !keys.isWritable || status.isReadOnly
        warn(StoreWarnings.aboutTrust(in: plan.source))
        if keys.isWritable, status.isReadOnly {
            warn(["\(plan.source): a replica that takes no changes: mounted read-only"])
        }
        if status.isClusterNode {
            warn(["\(plan.source): a node of a cluster: only the keys that it holds are shown"])
        }
        let fileSystem = KeyspaceFileSystem(
            redis: redis, options: keys.options(plan.settings, isReadOnly: isReadOnly),
            metrics: metrics, logger: logger)
        return Served(fileSystem: fileSystem, status: status, isReadOnly: isReadOnly) {
            fileSystem.lostFileCount
        }
    }

    private func warn(_ warnings: [String]) {
        for warning in warnings {
            reporter.send(.warning(warning))
            logger.warning("\(warning)")
        }
    }

    private func makeFileSystem(
        _ access: StoreAccess, _ volume: VolumeSettings, _ mountPoint: String, isReadOnly: Bool
    ) throws(CommandFailure) -> VolumeFileSystem {
        let session = SessionDescription(
            host: Host.name, processID: getpid(), mountPoint: mountPoint, version: Version.apusfs)
        do throws(VolumeError) {
            let store = try VolumeStore(
                store: access.store, settings: volume, session: session, isReadOnly: isReadOnly,
                metrics: metrics, logger: logger)
            return VolumeFileSystem(
                store: store, options: plan.volumeOptions(isReadOnly: isReadOnly),
                metrics: metrics, logger: logger)
        } catch {
            throw StoreFailure.describe(error, plan.source)
        }
    }

    /// The mount answers.
    private func announce(_ mountPoint: String, _ status: StoreStatus) {
        stage.withLock { $0.wasReady = true }
        logger.info(
            "mounted",
            metadata: [
                "source": "\(plan.source)", "mount": "\(mountPoint)",
                "shows": plan.settings.keys == nil
                    ? "volume \(plan.settings.volume)" : "keys", "store": "\(status.product)",
            ])
        reporter.send(.ready)
    }

    /// For the steps before the mount.
    private func checkEnding() throws(CommandFailure) {
        if stage.withLock({ $0.isEnding }) {
            throw CommandFailure("interrupted", status: .interrupted)
        }
    }

    /// The first SIGINT or SIGTERM unmounts; more of them change nothing. SIGHUP opens the log file
    /// again, or ends a mount in the foreground, whose terminal is gone.
    private func handleSignals() {
        Signals.handle(Self.signals) { [self] signal in
            if signal == SIGHUP, !plan.settings.isForeground {
                reopenLog()
                return true
            }
            let (isFirst, server) = stage.withLock { stage in
                defer { stage.isEnding = true }
                return (!stage.isEnding, stage.server)
            }
            if isFirst { logger.info("unmounting", metadata: ["signal": "\(signal)"]) }
            if isFirst { server?.requestStop() }
            return true
        }
    }

    private func reopenLog() {
        do throws(CommandFailure) {
            try log.reopen()
        } catch {
            logger.error("\(error)")
        }
    }

    private func record(_ mountPoint: String) throws(CommandFailure) -> MountRecord {
        var shown = plan.source
        shown.password = nil
        return MountRecord(
            process: getpid(), mountPoint: mountPoint, source: "\(shown)",
            volume: plan.settings.volume, showsKeys: plan.settings.keys == nil ? nil : true,
            passwordFile: plan.settings.passwordFile, tls: plan.source.tls,
            logFile: plan.settings.isForeground ? plan.settings.logFile : try plan.logPath(),
            isReadOnly: plan.settings.isReadOnly, since: Timestamp.now.nanoseconds, failure: nil)
    }

    private func withPidFile(
        _ body: () throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        guard let path = plan.settings.pidFile else { return try body() }
        try Directories.replace(path, with: "\(getpid())\n")
        defer { unlink(path) }
        try body()
    }
}

/// This machine.
enum Host {
    static var name: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
