import ArgumentParser

struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Mount a volume.",
        usage: "apusfs [mount] [SOURCE] MOUNTPOINT [OPTIONS]",
        discussion: """
            Returns when the mount answers, and goes on in the background. Exit status: 0
            mounted, 32 not mounted, 64 wrong usage.

            Every option is also a key of -o, with the same name and '-' or '_' between its
            words, so that fstab can say (with 'make install' done):
              redis://server/1 /mnt/x apusfs _netdev,nofail,cache-size=2GiB 0 0

            SIZE is bytes or has a unit: 65536, 512M, 2GiB. TIME is seconds or has one: 1,
            250ms, 30s, 2m. CODEC is none, lz4, zlib, or zlib:1 (fast) to zlib:9 (small).

            The password for a server comes from --password-file, else from the environment
            (APUSFS_REDIS_PASSWORD or REDISCLI_AUTH), else from SOURCE, where 'ps' sees it
            for the instant until apusfs hides it. Sentinels get a password only if they
            ask: APUSFS_SENTINEL_PASSWORD, else that of the server.

            By redis-sentinel:// the primary is asked for at each connection, so that the
            mount goes on after a failover; with --fsync-replicas 1 and one replica it
            loses nothing then that was synced.

            Examples:
              apusfs mount /mnt/x
              apusfs mount file:/srv/x /mnt/x --cache-size 1GiB
              apusfs mount redis://server:6379/1 /mnt/x --volume photos --allow-other
              apusfs mount rediss://server/1 /mnt/x --tls-ca /etc/ssl/redis-ca.pem
              apusfs mount redis-sentinel://a,b,c/mymaster /mnt/x --fsync-replicas 1
              apusfs mount memory: /mnt/x -f --debug
            """)

    @Argument(
        help: ArgumentHelp(
            "Where the volume is stored, and the directory where it is to appear.",
            valueName: "SOURCE MOUNTPOINT"))
    var places: [String] = []

    @OptionGroup(title: "The volume") var volumeFlags: VolumeFlags
    @OptionGroup(title: "Speed") var speedFlags: SpeedFlags
    @OptionGroup(title: "Access") var accessFlags: AccessFlags
    @OptionGroup(title: "TLS (rediss://)") var tlsFlags: TLSFlags
    @OptionGroup(title: "The process") var processFlags: ProcessFlags

    func run() throws {
        try Mounting.mount(places, try settings())
    }

    /// What was asked for. The flags are applied after `-o`, so they win.
    func settings() throws(CommandFailure) -> MountSettings {
        var settings = MountSettings()
        try processFlags.applyOptions(to: &settings)
        try MountOption.apply(
            volumeFlags.given + speedFlags.given + accessFlags.given + tlsFlags.given
                + processFlags.given, to: &settings)
        return settings
    }
}
