import ArgumentParser

// The flags of `apusfs mount`. Each one is only carried to the entry of the same name in
// `MountOption.all`, which checks its value: command line, `-o` and fstab understand the same.

/// A flag that was given: its long name, and its value if it takes one.
typealias GivenFlag = (name: String, value: String?)

func collect(
    _ values: [(String, String?)], switches: [(String, Bool)] = []
) -> [GivenFlag] {
    values.compactMap { name, value in value.map { (name, $0) } }
        + switches.compactMap { name, isOn in isOn ? (name, nil) : nil }
}

struct VolumeFlags: ParsableArguments {
    @Option(
        name: [.long, .customLong("prefix")],
        help: ArgumentHelp(
            "Which volume of the source: 1 to 64 of A-Z a-z 0-9 . _ - (default: apusfs).",
            valueName: "NAME"))
    var volume: String?

    @Option(
        help: ArgumentHelp(
            "How new blocks are compressed from now on (default: as the volume says).",
            valueName: "CODEC"))
    var codec: String?

    @Option(
        help: ArgumentHelp(
            "For a new volume: a multiple of 4 KiB up to 1 MiB (default: 124 KiB).",
            valueName: "SIZE"))
    var blockSize: String?

    var given: [GivenFlag] {
        collect([("volume", volume), ("codec", codec), ("block-size", blockSize)])
    }

    func apply(to settings: inout MountSettings) throws(CommandFailure) {
        for (name, value) in given { try MountOption.apply(name, value, to: &settings) }
    }
}

struct SpeedFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Memory for blocks and what is known of files (default: 512 MiB).", valueName: "SIZE"))
    var cacheSize: String?

    @Option(help: ArgumentHelp("Workers that serve requests (default: 8).", valueName: "N"))
    var threads: String?

    @Option(
        help: ArgumentHelp("Connections to the server for data (default: 4).", valueName: "N"))
    var connections: String?

    @Option(
        help: ArgumentHelp(
            "How long changed blocks wait before they are stored (default: 5s); fsync and close "
                + "store them at once.", valueName: "TIME"))
    var flushInterval: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe attributes while changes of "
                + "other mounts are heard (default: 60s).", valueName: "TIME"))
    var attrTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe names while changes of other "
                + "mounts are heard (default: 60s).", valueName: "TIME"))
    var entryTimeout: String?

    @Flag(help: "Move data through pipes instead of copying it (slower where data is cached).")
    var splice = false

    @Flag(name: .customLong("clone-fd"), help: "Give each worker its own /dev/fuse descriptor.")
    var cloneDescriptor = false

    var given: [GivenFlag] {
        collect(
            [
                ("cache-size", cacheSize), ("threads", threads), ("connections", connections),
                ("flush-interval", flushInterval), ("attr-timeout", attrTimeout),
                ("entry-timeout", entryTimeout),
            ], switches: [("splice", splice), ("clone-fd", cloneDescriptor)])
    }
}

struct AccessFlags: ParsableArguments {
    @Flag(help: "Every change is refused (EROFS).")
    var readOnly = false

    @Flag(help: "Never update access times.")
    var noatime = false

    @Flag(help: "Update them when they are older than the last change, or a day (default).")
    var relatime = false

    @Flag(help: "Update them at each read.")
    var strictatime = false

    @Flag(
        help: "Let other users in, under the permissions of the files (default when root mounts).")
    var allowOther = false

    @Flag(help: "Let nobody in but the user who mounts (default for other users).")
    var noAllowOther = false

    @Flag(help: "Mount on a directory that is not empty, and hide what it holds.")
    var nonempty = false

    @Option(
        help: ArgumentHelp(
            "How long an operation waits for the server before it fails with EIO (default: 30s).",
            valueName: "TIME"))
    var ioTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How many replicas must have what fsync or close stored (default: 0).",
            valueName: "N"))
    var fsyncReplicas: String?

    @Flag(help: "Refuse a server that may evict files, or whose crash loses what was synced.")
    var strict = false

    mutating func validate() throws {
        guard [noatime, relatime, strictatime].filter({ $0 }).count <= 1 else {
            throw ValidationError("Choose one of --noatime, --relatime and --strictatime.")
        }
    }

    var given: [GivenFlag] {
        collect(
            [("io-timeout", ioTimeout), ("fsync-replicas", fsyncReplicas)],
            switches: [
                ("strict", strict),
                ("read-only", readOnly), ("noatime", noatime), ("relatime", relatime),
                ("strictatime", strictatime), ("allow-other", allowOther),
                ("no-allow-other", noAllowOther), ("nonempty", nonempty),
            ])
    }
}

struct ProcessFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Holds the password in its first line; only its owner may be able to read it.",
            valueName: "FILE"))
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "Where to log (default: the system's log; standard error with -f). SIGHUP reopens it.",
            valueName: "FILE"))
    var logFile: String?

    @Option(help: ArgumentHelp("Gets the number of the process.", valueName: "FILE"))
    var pidFile: String?

    @Flag(name: .shortAndLong, help: "Stay in the foreground; Ctrl-C unmounts.")
    var foreground = false

    @Flag(name: .shortAndLong, help: "Log everything.")
    var debug = false

    @Option(
        name: .customShort("o"),
        help: ArgumentHelp(
            "Options as fstab writes them; those of FUSE are handed on.", valueName: "OPT[,OPT...]")
    )
    var mountOptions: [String] = []

    var given: [GivenFlag] {
        collect(
            [
                ("password-file", passwordFile), ("log-file", logFile), ("pid-file", pidFile),
            ], switches: [("foreground", foreground), ("debug", debug)])
    }
}
