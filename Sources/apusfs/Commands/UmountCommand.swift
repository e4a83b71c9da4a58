import ArgumentParser

struct UmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount",
        abstract: "Unmount a volume and wait until everything is stored.",
        usage: "apusfs umount MOUNTPOINT [--lazy] [--force] [--timeout TIME]",
        discussion: """
            Waits until the process behind the mount has stored everything and has ended,
            and with it the private Redis of a file: source, if nobody else uses it.
            umount(8) and 'fusermount3 -u' unmount, too, but do not wait.

            What a process that has died has left mounted is taken away, and said so.
            """)

    @Argument(help: ArgumentHelp("Where the volume is mounted.", valueName: "MOUNTPOINT"))
    var mountPoint: String

    @Flag(
        name: .shortAndLong,
        help: "Take it out of the tree now; it ends when the last program lets go of it.")
    var lazy = false

    @Flag(
        name: .shortAndLong,
        help:
            "Fail what programs wait for, unmount in any case, and end the process at the timeout.")
    var force = false

    @Option(help: ArgumentHelp("How long to wait for the end (default: 2m).", valueName: "TIME"))
    var timeout: String?

    func run() throws {
        var flags: Unmounting.Flags = []
        if lazy || force { flags.insert(.lazy) }
        if force { flags.insert(.force) }
        try Leaving.leave(mountPoint, flags, timeout: try limit())
    }

    func limit() throws(CommandFailure) -> TimeSpan {
        guard let timeout else { return Leaving.standardTimeout }
        do throws(CommandFailure) {
            return try MountOption.time(timeout, from: 0)
        } catch {
            throw CommandFailure("--timeout: \(error)", status: .usage)
        }
    }
}
