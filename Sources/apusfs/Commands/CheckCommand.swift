import ArgumentParser
import Glibc
import Logging
import VolumeStore

/// Exit statuses of fsck(8).
enum CheckStatus: Int32 {
    case clean = 0
    case mended = 1
    case damageLeft = 4
    /// The check could not be carried out.
    case failed = 8
    case usage = 16
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Look whether a volume is intact, and mend it.",
        usage: "apusfs check SOURCE|MOUNTPOINT [--volume NAME] [--repair] [--data] [--json]",
        discussion: """
            Works while the volume is mounted, here or elsewhere, and without. Without
            --repair nothing is changed. Files without a name get one in lost+found.
            A block that cannot be right becomes a hole, and is named.

            Exit status: 0 intact, 1 mended, 4 damage is left, 8 not carried out, 16 usage.

            Examples:
              apusfs check /mnt/x
              apusfs check redis://server/1 --volume photos --data
              apusfs check file:/srv/x --repair
            """)

    @Argument(
        help: ArgumentHelp(
            "Where the volume is stored, or mounted.", valueName: "SOURCE|MOUNTPOINT"))
    var place: String

    @OptionGroup var look: LookFlags

    @Flag(help: "Mend what is found.")
    var `repair` = false

    @Flag(help: "Read every block and judge its frame, checksum and content.")
    var data = false

    @Option(
        help: ArgumentHelp(
            "Memory for tables (default: 256M); larger volumes are walked several times.",
            valueName: "SIZE"))
    var memory: String?

    func run() throws {
        let report: CheckReport
        do throws(CommandFailure) {
            report = try check()
        } catch {
            Console.error(error.message)
            throw ExitCode(
                error.status == .usage ? CheckStatus.usage.rawValue : CheckStatus.failed.rawValue)
        }
        let status = Self.status(of: report)
        Console.print(
            look.json ? JSON.text(CheckText.Summary(report, status)) : CheckText.text(report))
        if status != .clean { throw ExitCode(status.rawValue) }
    }

    static func status(of report: CheckReport) -> CheckStatus {
        if !report.isClean { return .damageLeft }
        return report.mended > 0 ? .mended : .clean
    }

    private func check() throws(CommandFailure) -> CheckReport {
        let (found, name) = try look.stored(place, for: Self.configuration)
        var options = CheckOptions()
        options.repairs = `repair`
        options.readsData = data
        if let memory {
            guard let size = ByteSize(memory), size.bytes >= 1 << 20 else {
                throw CommandFailure("--memory: '\(memory)' is no size from 1M up", status: .usage)
            }
            options.memoryBytes = size.bytes
        }
        let logger = Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() }
        let bar = ProgressBar()
        defer { bar.clear() }
        return try StoreAccess.with(found.source, StoreAccess.Options(), logger: logger) {
            (access) throws(CommandFailure) in
            do throws(VolumeError) {
                return try VolumeCheck(
                    access.store, name: name, options: options, logger: logger
                ) { bar.show($0) }.run()
            } catch {
                throw StoreFailure.describe(error, access.source)
            }
        }
    }
}
