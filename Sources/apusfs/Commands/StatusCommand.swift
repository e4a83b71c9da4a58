import ArgumentParser
import Glibc
import Logging

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show a volume, its store and its mounts.",
        usage: "apusfs status [SOURCE|MOUNTPOINT] [--volume NAME] [--json]",
        discussion: """
            Without a place, the mounts of this host are listed. The private Redis of a
            file: source is started for this if it is not running, and stopped again.

            Examples:
              apusfs status
              apusfs status /mnt/x
              apusfs status redis://server/1 --volume photos --json
            """)

    @Argument(
        help: ArgumentHelp(
            "Where the volume is stored, or mounted.", valueName: "SOURCE|MOUNTPOINT"))
    var place: String?

    @OptionGroup var look: LookFlags

    func run() throws {
        guard let place else { return try listMounts() }
        let report = try Self.report(of: try look.find(place))
        Console.print(look.json ? JSON.text(report) : report.text)
    }

    private static func report(of found: VolumePlace) throws(CommandFailure) -> VolumeReport {
        if let record = found.record, found.source.place == .memory { return .ofMemory(record) }
        var report =
            found.record?.showsKeys == true
            ? try VolumeReport.ofKeys(found.source)
            : try VolumeReport.read(found.source, volume: found.volume)
        report.mount = found.record.map { .init($0) }
        return report
    }

    static func source(
        _ text: String, passwordFile: String?, tls: TLSSettings
    ) throws(CommandFailure) -> Source {
        let source = DefaultPlace.absolute(
            try SourceParser.parse(text), workingDirectory: Directories.working)
        return try PasswordSource.complete(
            try tls.applied(to: source, workingDirectory: Directories.working),
            passwordFile: passwordFile, environment: Environment.all)
    }

    // MARK: Mounts

    private func listMounts() throws(CommandFailure) {
        let mounts = try MountTable.entries().filter(\.isOurs)
        var lines: [MountLine] = []
        for entry in mounts {
            let record = try MountRecord.find(
                mountPoint: entry.mountPoint, userID: entry.userID)
            let process = record?.serving(userID: entry.userID)
            lines.append(
                MountLine(
                    mountPoint: entry.mountPoint, source: entry.source,
                    volume: record?.showsKeys == true ? nil : record?.volume,
                    view: record?.showsKeys == true ? "keys" : nil, process: process?.id))
        }
        if look.json { return Console.print(JSON.text(lines)) }
        for line in lines { Console.print(line.text) }
        if lines.isEmpty { Console.print("nothing is mounted") }
    }

    /// A mount of this host.
    struct MountLine: Codable {
        var mountPoint: String
        var source: String
        var volume: String?
        /// `keys` for what is no volume.
        var view: String?
        /// Nil when it has died, or belongs to a user whose records cannot be read.
        var process: Int32?

        var text: String {
            "\(mountPoint): \(source)" + (volume.map { ", volume '\($0)'" } ?? "")
                + (view.map { ", \($0)" } ?? "")
                + (process.map { ", process \($0)" } ?? ", no process is known")
        }
    }
}
