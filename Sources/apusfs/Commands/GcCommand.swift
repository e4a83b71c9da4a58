import ArgumentParser
import Glibc
import Logging
import Primitives
import Telemetry
import VolumeStore

struct GcCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Show and collect the garbage of a volume.",
        usage: "apusfs gc SOURCE|MOUNTPOINT [--volume NAME] [--dry-run] [--json]",
        discussion: """
            Deleted files give their memory back in the background, by any mount.
            This does it at once, and cleans up after mounts that died. What may still
            be in use (deleted some seconds ago, while several mounts share the volume)
            stays.

            Examples:
              apusfs gc /mnt/x --dry-run
              apusfs gc redis://server/1 --volume photos
            """)

    @Argument(
        help: ArgumentHelp(
            "Where the volume is stored, or mounted.", valueName: "SOURCE|MOUNTPOINT"))
    var place: String

    @OptionGroup var look: LookFlags

    @Flag(help: "Only show.")
    var dryRun = false

    /// The JSON. Its keys are stable.
    struct Outcome: Codable {
        /// What was there before.
        var members: Int
        var due: Int
        var blocks: UInt64
        var inodes: Int
        var expiredSessions: Int
        /// Members that are done with.
        var collected: Int
    }

    func run() throws {
        let (found, name) = try look.stored(place, for: Self.configuration)
        let logger = Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() }
        let outcome = try StoreAccess.with(found.source, StoreAccess.Options(), logger: logger) {
            (access) throws(CommandFailure) in
            do throws(VolumeError) {
                let report = try VolumeStore.garbage(access.store, name: name)
                var outcome = Outcome(
                    members: report.members, due: report.due, blocks: report.blocks,
                    inodes: report.inodes, expiredSessions: report.expiredSessions, collected: 0)
                if !dryRun { outcome.collected = try collect(access, name, logger) }
                return outcome
            } catch {
                throw StoreFailure.describe(error, access.source)
            }
        }
        Console.print(look.json ? JSON.text(outcome) : text(outcome))
    }

    /// As a mount of its own, which leaves again.
    private func collect(
        _ access: StoreAccess, _ name: VolumeName, _ logger: Logger
    ) throws(VolumeError) -> Int {
        let settings = try VolumeStore.readSettings(access.store, name: name)
        let store = try VolumeStore(
            store: access.store, settings: settings,
            session: SessionDescription(
                host: Host.name, processID: getpid(), mountPoint: "(gc)", version: Version.apusfs),
            isReadOnly: false, metrics: Metrics(), logger: logger)
        defer { store.close() }
        return try store.collectGarbage()
    }

    private func text(_ outcome: Outcome) -> String {
        let found =
            "\(outcome.members) members of garbage (\(outcome.due) due): up to \(outcome.blocks) "
            + "blocks, \(outcome.inodes) inodes without names; \(outcome.expiredSessions) "
            + "sessions of mounts that died"
        return dryRun ? found : found + "\n\(outcome.collected) collected"
    }
}
