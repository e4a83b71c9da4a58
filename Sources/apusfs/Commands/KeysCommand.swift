import ArgumentParser
import KeyspaceFS

struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Mount the keys of a Redis database as files.",
        usage: "apusfs keys SOURCE MOUNTPOINT [--write] [OPTIONS]",
        discussion: """
            Shows a dataset that other programs use, as it is, and changes nothing unless
            --write is given. 'user:1:name' is the file user/1/name; a field of a hash is
            hash.field; lists, sets, sorted sets and streams read as text, one element a
            line. docs/KEYSPACE.md says how every key gets its name.

            SOURCE is a server (redis://, redis-sentinel://, unix://; by TLS rediss://,
            rediss-sentinel://) or a private Redis (file:DIR). Exit statuses, password and
            the process in the background are those of mount; umount and status work on
            it, too.

            A configuration file holds any of these options, as in:
              write
              prefix = shop:
              hashes = directory
              password-file = /etc/apusfs/password
            SOURCE and MOUNTPOINT can stand in it as 'source' and 'mountpoint'.

            Every option is also a key of -o, so that fstab can say (with 'make install'
            done):
              redis://server/1 /mnt/x apusfs-keys _netdev,nofail,prefix=shop:,write 0 0
            The 'rw' that mount(8) adds by itself is not 'write'.

            Examples:
              apusfs keys redis://server/1 /mnt/keys
              apusfs keys redis://server/1 /mnt/shop --prefix shop: --write --format json
              apusfs keys --config /etc/apusfs/shop.conf
            """)

    @Argument(
        help: ArgumentHelp(
            "Where the dataset is, and the directory where it is to appear.",
            valueName: "SOURCE MOUNTPOINT"))
    var places: [String] = []

    @OptionGroup(title: "The view") var viewFlags: KeysViewFlags
    @OptionGroup(title: "Changes") var changeFlags: KeysChangeFlags
    @OptionGroup(title: "The mount") var serving: ServingFlags
    @OptionGroup(title: "The mount") var admission: AdmissionFlags
    @OptionGroup(title: "TLS (rediss://)") var tlsFlags: TLSFlags
    @OptionGroup(title: "The process") var file: KeysFileFlags
    @OptionGroup(title: "The process") var processFlags: ProcessFlags

    func run() throws {
        let (places, settings) = try request()
        try Mounting.mount(places, settings)
    }

    /// What was asked for: the configuration file, then `-o`, then the flags, of which each wins over those
    /// before it.
    func request() throws(CommandFailure) -> (places: [String], settings: MountSettings) {
        var settings = MountSettings()
        settings.keys = KeysSettings()
        var source: String?
        var mountPoint: String?
        if let path = file.config {
            for line in try ConfigurationFile.read(path) {
                switch line.name {
                case "source": source = line.value
                case "mountpoint": mountPoint = line.value
                default:
                    try MountOption.apply(
                        line.name, line.value, word: "\(path):\(line.number): \(line.name)",
                        to: &settings)
                }
            }
        }
        try processFlags.applyOptions(to: &settings)
        try MountOption.apply(
            viewFlags.given + changeFlags.given + serving.given + admission.given
                + tlsFlags.given + processFlags.given, to: &settings)
        try settings.completeKeys()
        return (merged(source, mountPoint), settings)
    }

    /// Words of the command line win over the file.
    private func merged(_ source: String?, _ mountPoint: String?) -> [String] {
        if places.count == 1, !SourceParser.looksLikeSource(places[0]), let source {
            return [source, places[0]]
        }
        if places.count == 1, let mountPoint { return [places[0], mountPoint] }
        if places.isEmpty, let source, let mountPoint { return [source, mountPoint] }
        return places
    }
}
