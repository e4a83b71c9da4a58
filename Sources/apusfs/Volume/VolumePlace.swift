import Glibc

/// Which volume a command is about: named by its source, or by where it is mounted on this host.
struct VolumePlace {
    var source: Source
    var volume: String
    /// The mount by which it was named.
    var record: MountRecord?

    /// `place` is a source or a mount point; `volume` is the flag `--volume`, which counts for a source.
    static func find(
        _ place: String, volume: String?, passwordFile: String?, tls: TLSSettings
    ) throws(CommandFailure) -> VolumePlace {
        guard SourceParser.looksLikeSource(place) else {
            return try ofMount(place, passwordFile: passwordFile, tls)
        }
        return VolumePlace(
            source: try StatusCommand.source(place, passwordFile: passwordFile, tls: tls),
            volume: try name(volume), record: nil)
    }

    private static func name(_ flag: String?) throws(CommandFailure) -> String {
        guard let flag else { return MountSettings.standardVolume }
        do throws(CommandFailure) {
            return try MountOption.volumeName(flag)
        } catch {
            throw CommandFailure("--volume: \(error)", status: .usage)
        }
    }

    private static func ofMount(
        _ path: String, passwordFile: String?, _ tls: TLSSettings
    ) throws(CommandFailure) -> VolumePlace {
        let mountPoint = try MountPoint.canonical(path)
        guard let entry = try MountTable.entry(at: mountPoint), entry.isOurs else {
            throw CommandFailure(
                "\(mountPoint): no ApusFS volume is mounted there; for the volume of an embedded "
                    + "store write file:\(mountPoint)")
        }
        guard let record = try MountRecord.find(mountPoint: mountPoint, userID: entry.userID),
            record.serving(userID: entry.userID) != nil
        else {
            guard entry.userID == geteuid() || geteuid() == 0 else {
                throw CommandFailure(
                    "\(mountPoint): was mounted by another user, who alone can be told more")
            }
            throw CommandFailure(
                "\(mountPoint): the process behind the mount has died; clean up with: "
                    + "apusfs umount \(mountPoint)")
        }
        let named = try SourceParser.parse(record.source)
        // As it was mounted, unless it is said anew.
        let settings = tls == TLSSettings() ? record.tls ?? tls : tls
        if let key = settings.keyFile, tls == TLSSettings(), let user = entry.userID,
            user != geteuid()
        {
            try requireOwner(user, of: key)
        }
        let source = try PasswordSource.complete(
            try settings.applied(to: named, workingDirectory: Directories.working),
            passwordFile: passwordFile ?? record.passwordFile,
            owner: passwordFile == nil && entry.userID != geteuid() ? entry.userID : nil,
            environment: Environment.all)
        return VolumePlace(source: source, volume: record.volume, record: record)
    }

    /// A key that another user has named has to be that user's, or root would prove with what only root may
    /// read who it is, to a server that the user has named as well.
    private static func requireOwner(_ user: uid_t, of path: String) throws(CommandFailure) {
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw CommandFailure(path, "cannot read the key", errno: errno)
        }
        guard information.st_uid == user else {
            throw CommandFailure(
                "\(path): the key belongs to somebody else than who has mounted; name another one "
                    + "with --tls-cert and --tls-key")
        }
    }

    /// Only the process of a mount sees what it has in memory.
    func requireStore(of command: String) throws(CommandFailure) {
        if let record, record.showsKeys == true {
            throw CommandFailure(
                "\(record.mountPoint): shows the keys of a server, which are no volume",
                status: .usage)
        }
        guard source.place == .memory else { return }
        throw CommandFailure(
            "memory: can be seen only by the process that has it mounted; \(command) cannot",
            status: .usage)
    }
}
