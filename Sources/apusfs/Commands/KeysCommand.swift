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

            SOURCE is a server (redis://, unix://) or a private Redis (file:DIR). Exit
            statuses, password and the process in the background are those of mount; umount
            and status work on it, too.

            A configuration file holds any of these options, as in:
              write
              prefix = shop:
              hashes = directory
              password-file = /etc/apusfs/password
            SOURCE and MOUNTPOINT can stand in it as 'source' and 'mountpoint'.

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
    @OptionGroup(title: "The mount") var mountFlags: KeysMountFlags
    @OptionGroup(title: "The process") var processFlags: KeysProcessFlags

    func run() throws {
        let (places, settings) = try request()
        let plan = try MountPlan.make(
            places: places, settings: settings, environment: Environment.all,
            workingDirectory: Directories.working)
        try Mounting.mount(plan)
    }

    /// What was asked for. The flags are applied after the configuration file, so they win.
    func request() throws(CommandFailure) -> (places: [String], settings: MountSettings) {
        var settings = MountSettings()
        settings.keys = KeysSettings()
        var source: String?
        var mountPoint: String?
        if let path = processFlags.config {
            for line in try ConfigurationFile.read(path) {
                switch line.name {
                case "source": source = line.value
                case "mountpoint": mountPoint = line.value
                default:
                    try MountOption.applyKeys(
                        line.name, line.value, word: "\(path):\(line.number): \(line.name)",
                        to: &settings)
                }
            }
        }
        let given =
            viewFlags.given + changeFlags.given + mountFlags.given + processFlags.given
        for (name, value) in given {
            try MountOption.applyKeys(name, value, word: "--\(name)", to: &settings)
        }
        try Self.check(&settings)
        return (try merged(source, mountPoint), settings)
    }

    /// Words of the command line win over the file.
    private func merged(
        _ source: String?, _ mountPoint: String?
    ) throws(CommandFailure) -> [String] {
        var words = places
        if words.count == 1, !SourceParser.looksLikeSource(words[0]), let source {
            words = [source, words[0]]
        } else if words.count == 1, let mountPoint {
            words.append(mountPoint)
        } else if words.isEmpty, let source, let mountPoint {
            words = [source, mountPoint]
        }
        guard words.count == 2 else {
            throw CommandFailure("write: apusfs keys SOURCE MOUNTPOINT", status: .usage)
        }
        return words
    }

    private static func check(_ settings: inout MountSettings) throws(CommandFailure) {
        guard let keys = settings.keys else { return }
        if keys.separator == UInt8(ascii: "."), keys.hashes == .fields {
            throw CommandFailure(
                "--separator .: a dot divides hash and field; add --hashes directory",
                status: .usage)
        }
        settings.isReadOnly = !keys.isWritable
    }
}
