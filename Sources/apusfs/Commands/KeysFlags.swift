import ArgumentParser

// The flags of `apusfs keys`. Each is only carried to the entry of the same name in `MountOption.keys`,
// which checks its value; a configuration file names the same.

struct KeysViewFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("Divides keys into directories (default: ':').", valueName: "CHARACTER"))
    var separator: String?

    @Option(
        help: ArgumentHelp("Only keys that begin so, shown without it.", valueName: "TEXT"))
    var prefix: String?

    @Option(help: ArgumentHelp("Only keys that match (as of SCAN).", valueName: "PATTERN"))
    var match: String?

    @Option(
        help: ArgumentHelp(
            "How many separators divide a key at most; 0 shows all keys in one directory.",
            valueName: "N"))
    var depth: String?

    @Option(
        help: ArgumentHelp(
            "Field f of hash k as file k.f, or as file f in directory k (default: fields).",
            valueName: "fields|directory"))
    var hashes: String?

    @Option(
        help: ArgumentHelp(
            "How lists, sets, sorted sets and streams read (default: text).",
            valueName: "text|json"))
    var format: String?

    @Option(
        help: ArgumentHelp("The database; wins over that of SOURCE (default: 0).", valueName: "N"))
    var redisDb: String?

    @Option(
        help: ArgumentHelp(
            "How changes of others are learned (default: auto).",
            valueName: "auto|tracking|notifications|none"))
    var changes: String?

    @Option(
        help: ArgumentHelp(
            "How long names are believed where changes are not announced (default: 10s).",
            valueName: "TIME"))
    var refresh: String?

    var given: [GivenFlag] {
        collect([
            ("separator", separator), ("prefix", prefix), ("match", match), ("depth", depth),
            ("hashes", hashes), ("format", format), ("redis-db", redisDb), ("changes", changes),
            ("refresh", refresh),
        ])
    }
}

struct KeysChangeFlags: ParsableArguments {
    @Flag(help: "Let programs change the dataset (default: every change is refused, EROFS).")
    var write = false

    @Flag(help: "Refuse every change, whatever a configuration file says.")
    var readOnly = false

    @Flag(help: "Let lists, sets, sorted sets and streams be removed, renamed and replaced, too.")
    var removeAnyType = false

    @Option(
        help: ArgumentHelp(
            "What a close does with a value that others have changed meanwhile (default: fail).",
            valueName: "fail|overwrite|keep-both"))
    var onConflict: String?

    mutating func validate() throws {
        guard !write || !readOnly else {
            throw ValidationError("Choose one of --write and --read-only.")
        }
    }

    var given: [GivenFlag] {
        collect(
            [("on-conflict", onConflict)],
            switches: [
                ("write", write), ("read-only", readOnly), ("remove-any-type", removeAnyType),
            ])
    }
}

struct KeysMountFlags: ParsableArguments {
    @Option(help: ArgumentHelp("Workers that serve requests (default: 8).", valueName: "N"))
    var threads: String?

    @Option(
        help: ArgumentHelp("Connections to the server for data (default: 4).", valueName: "N"))
    var connections: String?

    @Option(
        help: ArgumentHelp(
            "How long changes of a file that stays open wait (default: 5s); fsync and close store "
                + "them at once.", valueName: "TIME"))
    var flushInterval: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe attributes (default: 1s).", valueName: "TIME"))
    var attrTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How long the kernel may believe names (default: 1s).", valueName: "TIME"))
    var entryTimeout: String?

    @Option(
        help: ArgumentHelp(
            "How long an operation waits for the server before it fails with EIO (default: 30s).",
            valueName: "TIME"))
    var ioTimeout: String?

    @Flag(help: "Move data through pipes instead of copying it.")
    var splice = false

    @Flag(name: .customLong("clone-fd"), help: "Give each worker its own /dev/fuse descriptor.")
    var cloneDescriptor = false

    @Flag(
        help: "Let other users in, under the permissions of the files (default when root mounts).")
    var allowOther = false

    @Flag(help: "Let nobody in but the user who mounts (default for other users).")
    var noAllowOther = false

    @Flag(help: "Mount on a directory that is not empty, and hide what it holds.")
    var nonempty = false

    var given: [GivenFlag] {
        collect(
            [
                ("threads", threads), ("connections", connections),
                ("flush-interval", flushInterval), ("attr-timeout", attrTimeout),
                ("entry-timeout", entryTimeout), ("io-timeout", ioTimeout),
            ],
            switches: [
                ("splice", splice), ("clone-fd", cloneDescriptor), ("allow-other", allowOther),
                ("no-allow-other", noAllowOther), ("nonempty", nonempty),
            ])
    }
}

struct KeysProcessFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Options, one 'name = value' a line, named as these flags; flags win over it.",
            valueName: "FILE"))
    var config: String?

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

    var given: [GivenFlag] {
        collect(
            [("password-file", passwordFile), ("log-file", logFile), ("pid-file", pidFile)],
            switches: [("foreground", foreground), ("debug", debug)])
    }
}
