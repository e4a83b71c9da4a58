import CLinux
import Glibc
import Logging
import Primitives

/// The three ways into a mount: from the command line, in the foreground, and as the process behind a
/// mount in the background.
enum Mounting {
    /// Returns when the mount answers or, for a mount in the foreground, when it has ended. With `isFake`
    /// everything is checked and nothing mounted.
    static func mount(
        _ places: [String], _ settings: MountSettings, isFake: Bool = false
    ) throws(CommandFailure) {
        let plan = try MountPlan.make(
            places: places, settings: settings, environment: Environment.all,
            workingDirectory: Directories.working)
        if !isFake { try mount(plan) }
    }

    private static func mount(_ plan: MountPlan) throws(CommandFailure) {
        do throws(CommandFailure) {
            if plan.settings.isForeground {
                try serveInForeground(plan)
            } else {
                try BackgroundMount.start(plan) { MountReporter.show($0) }
                try requireAnswer(plan)
            }
        } catch {
            throw error.with(.mountFailure)
        }
    }

    /// The mount is asked as any program would ask it.
    private static func requireAnswer(_ plan: MountPlan) throws(CommandFailure) {
        var information = statvfs()
        guard statvfs(plan.mountPoint, &information) != 0 else { return }
        let failure = Errno(rawValue: errno)
        // Who is told that a mount failed does not expect one.
        try Unmounting.detach(plan.mountPoint)
        var text = "\(plan.mountPoint): unmounted again, since it answered: \(failure)"
        if plan.settings.keys == nil {
            text +=
                "; the volume may be damaged: apusfs check --repair \(plan.shownSource) --volume "
                + plan.settings.volume
        }
        throw CommandFailure(text)
    }

    private static func serveInForeground(_ plan: MountPlan) throws(CommandFailure) {
        Signals.block(MountProcess.signals)
        Signals.ignoreBrokenPipes()
        try Confinement.begin()
        let place = plan.settings.logFile.map { LogDestination.Place.file($0) } ?? .standardError
        let destination = try LogDestination(place, secrets: plan.secrets)
        let process = MountProcess(plan, reporter: MountReporter(pipe: nil), log: destination)
        try process.run()
    }

    /// The process behind a mount: takes its plan from a pipe and tells through another how it goes.
    static func serveInBackground() throws(CommandFailure) {
        Signals.block(MountProcess.signals)
        Signals.ignoreBrokenPipes()
        // It was started as /proc/self/exe, and would be called `exe`.
        apusfs_name_thread("apusfs")
        guard fcntl(BackgroundMount.planDescriptor, F_GETFD) >= 0,
            fcntl(BackgroundMount.messageDescriptor, F_GETFD) >= 0
        else { throw CommandFailure("serve: is started by 'apusfs mount' only", status: .usage) }
        let input = OwnedDescriptor(taking: BackgroundMount.planDescriptor)
        let output = OwnedDescriptor(taking: BackgroundMount.messageDescriptor)
        for descriptor in [input, output] { _ = fcntl(descriptor.raw, F_SETFD, FD_CLOEXEC) }
        let reporter = MountReporter(pipe: output)
        do throws(CommandFailure) {
            try Confinement.begin()
            let plan = try receivePlan(from: input)
            chdir("/")
            let process = MountProcess(
                plan, reporter: reporter, log: try backgroundLog(plan))
            try process.run()
        } catch {
            let status = error.with(.mountFailure).status
            reporter.send(.failed(status, error.message))
            throw CommandFailure(error.message, status: status)
        }
    }

    private static func receivePlan(
        from input: OwnedDescriptor
    ) throws(CommandFailure) -> MountPlan {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try input.readAll(limit: BackgroundMount.planLimitBytes)
        } catch {
            throw CommandFailure("mount", "cannot read the plan", errno: error.rawValue)
        }
        return try JSON.value(MountPlan.self, from: bytes)
    }

    /// A log file of our own is moved aside at a mount when it has grown to this.
    private static let logLimitBytes = 4 << 20

    /// The log file, else the system's log, else a file in the runtime directory. What the Swift
    /// runtime says when it stops the process goes to the file in any case.
    private static func backgroundLog(_ plan: MountPlan) throws(CommandFailure) -> LogDestination {
        let path = try plan.logPath()
        if plan.settings.logFile == nil { Directories.rotate(path, limitBytes: logLimitBytes) }
        let file = try LogDestination(.file(path), secrets: plan.secrets)
        file.takeStandardError()
        let hasSystemLog = access("/dev/log", W_OK) == 0
        guard plan.settings.logFile == nil, hasSystemLog else { return file }
        return try LogDestination(.systemLog, secrets: plan.secrets)
    }
}

extension MountPlan {
    /// What must not be seen in a log.
    var secrets: [Secret] { [source.password, source.sentinelPassword].compactMap(\.self) }

    /// The file that takes the log of a mount in the background where nothing else does.
    func logPath() throws(CommandFailure) -> String {
        if let file = settings.logFile { return file }
        return "\(try RuntimeDirectory.path())/\(Fingerprint.of(mountPoint)).log"
    }
}
