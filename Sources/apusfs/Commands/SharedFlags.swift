import ArgumentParser
import VolumeStore

// The arguments and flags that more than one command has. Each flag is only carried to the entry of the same
// name in a table of `MountOption`, which checks its value: command line, `-o`, fstab and configuration files
// understand the same.

/// A flag that was given: its long name, and its value if it takes one.
typealias GivenFlag = (name: String, value: String?)

func collect(
    _ values: [(String, String?)], switches: [(String, Bool)] = []
) -> [GivenFlag] {
    values.compactMap { name, value in value.map { (name, $0) } }
        + switches.compactMap { name, isOn in isOn ? (name, nil) : nil }
}

/// How a mount serves the kernel and asks its server.
struct ServingFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Workers that serve requests (default: 8).", valueName: "N"))
    var threads: String?

    @Option(
        help: ArgumentHelp("Connections to the server for data (default: 4).", valueName: "N"))
    var connections: String?

    @Option(
        help: ArgumentHelp(
            "How long changes wait before they are stored (default: 5s); fsync and close store "
                + "them at once.", valueName: "TIME"))
    var flushInterval: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe attributes (default: 1s; for a volume 60s while "
                + "changes of other mounts are heard).", valueName: "TIME"))
    var attrTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe names (default: as --attr-timeout).",
            valueName: "TIME"))
    var entryTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How requests come from the kernel: over io_uring ('uring', faster), by /dev/fuse "
                + "('device'), or whichever can be had (default: auto). Root's mount switches the "
                + "kernel's enable_uring on, unless this says 'device'.",
            valueName: "auto|device|uring"))
    var transport: String?

    @Flag(help: "Move data through pipes instead of copying it (slower where data is cached).")
    var splice = false

    @Flag(name: .customLong("clone-fd"), help: "Give each worker its own /dev/fuse descriptor.")
    var cloneDescriptor = false

    var given: [GivenFlag] {
        collect(
            [
                ("threads", threads), ("connections", connections),
                ("flush-interval", flushInterval), ("attr-timeout", attrTimeout),
                ("entry-timeout", entryTimeout), ("transport", transport),
            ], switches: [("splice", splice), ("clone-fd", cloneDescriptor)])
    }
}

/// Who may use a mount, where it may be, and how long its users wait.
struct AdmissionFlags: ParsableArguments {
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

    var given: [GivenFlag] {
        collect(
            [("io-timeout", ioTimeout)],
            switches: [
                ("allow-other", allowOther), ("no-allow-other", noAllowOther),
                ("nonempty", nonempty),
            ])
    }
}

/// How a `rediss://` server is spoken to.
struct TLSFlags: ParsableArguments {
    @Option(
        name: .customLong("tls-ca"),
        help: ArgumentHelp(
            "PEM file of the authorities that may have signed the server's certificate (default: "
                + "those that the system trusts).", valueName: "FILE"))
    var authority: String?

    @Option(
        name: .customLong("tls-cert"),
        help: ArgumentHelp("PEM file of this client's certificate.", valueName: "FILE"))
    var certificate: String?

    @Option(
        name: .customLong("tls-key"),
        help: ArgumentHelp("PEM file of its key.", valueName: "FILE"))
    var key: String?

    @Option(
        name: .customLong("tls-server-name"),
        help: ArgumentHelp(
            "What the server's certificate has to name (default: the host of SOURCE).",
            valueName: "NAME"))
    var serverName: String?

    @Flag(
        name: .customLong("tls-insecure"),
        help: "Do not look at the server's certificate: anybody in between can pass for it.")
    var insecure = false

    var given: [GivenFlag] {
        collect(
            [
                ("tls-ca", authority), ("tls-cert", certificate), ("tls-key", key),
                ("tls-server-name", serverName),
            ], switches: [("tls-insecure", insecure)])
    }

    func settings() throws(CommandFailure) -> TLSSettings {
        var settings = MountSettings()
        try MountOption.apply(given, to: &settings)
        return settings.tls
    }
}

/// The process behind a mount, and what it was given otherwise.
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

    func applyOptions(to settings: inout MountSettings) throws(CommandFailure) {
        for list in mountOptions { try MountOptionList.apply(list, to: &settings) }
    }
}

/// Which volume a command looks at, beside the place, and how it tells.
struct LookFlags: ParsableArguments {
    @Option(
        name: [.long, .customLong("prefix")],
        help: ArgumentHelp("Which volume of the source (default: apusfs).", valueName: "NAME"))
    var volume: String?

    @Option(help: ArgumentHelp("Holds the password in its first line.", valueName: "FILE"))
    var passwordFile: String?

    @OptionGroup var tls: TLSFlags

    @Flag(help: "Print as JSON.")
    var json = false

    /// `place` is a source or a mount point.
    func find(_ place: String) throws(CommandFailure) -> VolumePlace {
        try VolumePlace.find(
            place, volume: volume, passwordFile: passwordFile, tls: try tls.settings())
    }

    /// The same, with its name, for a command that works on what is stored.
    func stored(
        _ place: String, for command: CommandConfiguration
    ) throws(CommandFailure) -> (found: VolumePlace, name: VolumeName) {
        let found = try find(place)
        try found.requireStore(of: command.commandName ?? "")
        return (found, try OpenVolume.name(found.volume))
    }
}
