import FuseServer
import Glibc

/// All that the process behind a mount needs to know. It travels through a pipe, not through
/// arguments or the environment, because of the password.
struct MountPlan: Equatable, Sendable, Codable {
    /// With its password; a directory in it is absolute.
    var source: Source
    /// Absolute.
    var mountPoint: String
    var settings: MountSettings
    /// The source as it was written, where that names no password: mount(8) compares it with fstab.
    var writtenSource: String?

    /// What is allowed to be shown in `ps` and to other programs.
    var shownSource: String { writtenSource ?? "\(source)" }

    /// Puts together what a mount needs from the words of the command line.
    static func make(
        places: [String], settings: MountSettings, environment: [String: String],
        workingDirectory: String
    ) throws(CommandFailure) -> MountPlan {
        let usage =
            settings.keys == nil
            ? "apusfs mount [SOURCE] MOUNTPOINT" : "apusfs keys SOURCE MOUNTPOINT"
        let (text, mountPoint) = try split(places, usage: usage)
        if settings.keys != nil, text == nil {
            throw CommandFailure("the source is missing: \(usage)", status: .usage)
        }
        let source: Source
        if let text {
            source = try SourceParser.parse(text)
        } else {
            source = try DefaultPlace.source(
                volume: settings.volume, userID: geteuid(), environment: environment)
        }
        var named = source
        if let database = settings.keys?.database { named.database = database }
        if settings.transport == .uring, settings.splice {
            throw CommandFailure(
                "--splice moves data through pipes, which --transport uring has none of: leave out "
                    + "one of them", status: .usage)
        }
        if settings.keys != nil, source.place == .memory {
            throw CommandFailure("memory: holds no dataset of others", status: .usage)
        }
        let complete = try PasswordSource.complete(
            try settings.tls.applied(to: named, workingDirectory: workingDirectory),
            passwordFile: settings.passwordFile, environment: environment)
        var settings = settings
        settings.passwordFile = settings.passwordFile.map { absolute($0, workingDirectory) }
        settings.logFile = settings.logFile.map { absolute($0, workingDirectory) }
        settings.pidFile = settings.pidFile.map { absolute($0, workingDirectory) }
        var plan = MountPlan(
            source: DefaultPlace.absolute(complete, workingDirectory: workingDirectory),
            mountPoint: absolute(mountPoint, workingDirectory), settings: settings)
        if source.password == nil, !source.isPrivate { plan.writtenSource = text }
        try refuseStoreInsideMount(plan)
        return plan
    }

    /// The mount would hold its own data.
    private static func refuseStoreInsideMount(_ plan: MountPlan) throws(CommandFailure) {
        guard case .embedded(let directory) = plan.source.place else { return }
        guard directory == plan.mountPoint || directory.hasPrefix(plan.mountPoint + "/") else {
            return
        }
        throw CommandFailure(
            "file:\(directory): lies at or below its own mount point \(plan.mountPoint)",
            status: .usage)
    }

    private static func absolute(_ path: String, _ workingDirectory: String) -> String {
        path.hasPrefix("/") ? path : "\(workingDirectory)/\(path)"
    }

    private static func split(
        _ places: [String], usage: String
    ) throws(CommandFailure) -> (source: String?, mountPoint: String) {
        switch places.count {
        case 0:
            throw CommandFailure(
                "nothing to mount: \(usage) ('apusfs --help' shows how)", status: .usage)
        case 1:
            let only = places[0]
            guard !SourceParser.looksLikeSource(only) else {
                throw CommandFailure("the mount point is missing: \(usage)", status: .usage)
            }
            try refuseMistypedCommand(only)
            return (nil, only)
        case 2:
            try refuseMistypedCommand(places[0])
            // fstab has to name something.
            return (["none", "-"].contains(places[0]) ? nil : places[0], places[1])
        default:
            throw CommandFailure("too many words: \(usage)", status: .usage)
        }
    }

    /// `apusfs stauts X` is a mount for the grammar, but not for whoever wrote it.
    private static func refuseMistypedCommand(_ word: String) throws(CommandFailure) {
        guard !word.contains("/"), !word.contains(":"),
            let near = Spelling.nearest(to: word, among: RootCommand.commandNames)
        else { return }
        throw CommandFailure(
            "unknown command '\(word)'; did you mean 'apusfs \(near)'?", status: .usage)
    }
}
