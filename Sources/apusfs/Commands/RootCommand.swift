import ArgumentParser

struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apusfs",
        abstract: "A POSIX filesystem whose files live in Redis.",
        usage: """
            apusfs [mount] [SOURCE] MOUNTPOINT [OPTIONS]
            apusfs keys SOURCE MOUNTPOINT [OPTIONS]
            apusfs umount MOUNTPOINT
            apusfs format SOURCE [OPTIONS]
            apusfs status SOURCE|MOUNTPOINT
            apusfs check SOURCE|MOUNTPOINT [--repair]
            """,
        discussion: """
            SOURCE is where the volume is stored:
              redis://[user[:password]@]host[:port][/db]   a Redis server
              redis-sentinel://host[:port],.../name[/db]   the primary that sentinels name
              rediss://..., rediss-sentinel://...          the same by TLS
              unix:///path/to/redis.sock[?db=N]            one on a unix socket
              file:DIR                                     a private Redis, its data in DIR
              memory:                                      the process, until it ends
            Without one: a private Redis under /var/lib/apusfs or ~/.local/share/apusfs.

            Try it:
              mkdir -p /mnt/x && apusfs mount file:/srv/x /mnt/x
              apusfs umount /mnt/x

            With a server, format once, then mount on as many hosts as you like:
              apusfs format redis://server/1
              apusfs mount redis://server/1 /mnt/x --password-file /etc/apusfs/password

            What a server holds already, as files:
              apusfs keys redis://server/1 /mnt/keys

            'apusfs help mount' lists what can be set about a mount.
            """,
        version: "apusfs \(Version.apusfs)",
        groupedSubcommands: [
            CommandGroup(
                name: "Mounts:",
                subcommands: [MountCommand.self, KeysCommand.self, UmountCommand.self]),
            CommandGroup(
                name: "Volumes:",
                subcommands: [
                    FormatCommand.self, StatusCommand.self, CheckCommand.self, GcCommand.self,
                ]),
            CommandGroup(name: "Program:", subcommands: [VersionCommand.self, ServeCommand.self]),
        ],
        defaultSubcommand: MountCommand.self)

    /// Parses the words behind the program's name. `-oro,threads=3`, as fstab's tools write it, would be
    /// cut at its `=`, so it is written apart first.
    static func command(_ words: [String]) throws -> any ParsableCommand {
        let apart = words.flatMap { word in
            word.hasPrefix("-o") && word.utf8.count > 2
                ? ["-o", String(word.dropFirst(2))] : [word]
        }
        return try parseAsRoot(apart)
    }

    /// For suggesting the one that was meant.
    static let commandNames = [
        "mount", "keys", "umount", "format", "status", "check", "gc", "version", "help",
    ]
}
