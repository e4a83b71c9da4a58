import ArgumentParser

// The flags of `apusfs mount` that concern a volume; `SharedFlags` has the others.

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
        try MountOption.apply(given, to: &settings)
    }
}

struct SpeedFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Memory for blocks and what is known of files (default: 512 MiB).", valueName: "SIZE"))
    var cacheSize: String?

    @OptionGroup var serving: ServingFlags

    var given: [GivenFlag] { collect([("cache-size", cacheSize)]) + serving.given }
}

struct AccessFlags: ParsableArguments {
    @Flag(help: "Every change is refused (EROFS).")
    var readOnly = false

    @Flag(
        name: .customLong("nfs-export"),
        help: "Let file handles live on for an NFS server; not with overlayfs since Linux 6.16.")
    var exportsHandles = false

    @Option(
        help: ArgumentHelp(
            "Locks that other mounts need not see: this host keeps them, as nfs(5) has it (default: none).",
            valueName: "none|flock|posix|all"))
    var localLock: String?

    @Flag(help: "Never update access times.")
    var noatime = false

    @Flag(help: "Update them when they are older than the last change, or a day (default).")
    var relatime = false

    @Flag(help: "Update them at each read.")
    var strictatime = false

    @OptionGroup var admission: AdmissionFlags

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
            [("fsync-replicas", fsyncReplicas), ("local-lock", localLock)],
            switches: [
                ("strict", strict), ("read-only", readOnly), ("nfs-export", exportsHandles),
                ("noatime", noatime), ("relatime", relatime), ("strictatime", strictatime),
            ]) + admission.given
    }
}
