import ArgumentParser
import Codecs
import Glibc
import Logging
import VolumeStore

struct FormatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "format",
        abstract: "Make a volume.",
        usage: "apusfs format SOURCE [--volume NAME] [--block-size SIZE] [--codec CODEC]",
        discussion: """
            Needed once for a volume on a Redis server. Volumes in file: and memory: make
            themselves at the first mount.

            Examples:
              apusfs format redis://server/1
              apusfs format redis://server/1 --volume photos --block-size 252K --codec lz4
            """)

    @Argument(help: ArgumentHelp("Where the volume is to be stored.", valueName: "SOURCE"))
    var source: String

    @OptionGroup var volumeFlags: VolumeFlags

    @Option(help: ArgumentHelp("Holds the password in its first line.", valueName: "FILE"))
    var passwordFile: String?

    @OptionGroup var tls: TLSFlags

    @Flag(help: "Erase the volume of that name, with all its files, if there is one.")
    var force = false

    @Flag(help: "Print as JSON.")
    var json = false

    func run() throws {
        var settings = MountSettings()
        try volumeFlags.apply(to: &settings)
        let source = try StatusCommand.source(
            source, passwordFile: passwordFile, tls: try tls.settings())
        guard source.place != .memory else {
            throw CommandFailure(
                "memory: exists only while it is mounted, and is made by that: apusfs mount memory: DIR",
                status: .usage)
        }
        let logger = Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() }
        let options = StoreAccess.Options(mayCreate: true)
        let (volume, status) = try StoreAccess.with(source, options, logger: logger) {
            (access) throws(CommandFailure) in
            (
                try OpenVolume.format(access, settings, force: force),
                try VolumeReport.status(of: access)
            )
        }
        let report = VolumeReport(volume: volume, source: source, status: status)
        for warning in report.warnings { Console.error("warning: \(warning)") }
        if json {
            Console.print(JSON.text(report))
        } else {
            Console.print(
                "formatted volume '\(volume.name)' at \(source): blocks of \(volume.blockSize), "
                    + "codec \(volume.codec.name), uuid \(volume.uuid)")
        }
    }
}
