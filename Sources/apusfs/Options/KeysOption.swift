import KeyspaceFS

// What `apusfs keys` understands: its own options, and those of `apusfs mount` that do not concern a volume.
extension MountOption {
    static let keys: [MountOption] = viewOptions + changeOptions + sharedWithKeys

    private static let shared: Set<String> = [
        "threads", "connections", "flush-interval", "attr-timeout", "entry-timeout", "transport",
        "splice", "clone-fd", "allow-other", "no-allow-other", "nonempty", "io-timeout",
        "password-file", "log-file", "pid-file", "foreground", "debug", "tls-ca", "tls-cert",
        "tls-key", "tls-server-name", "tls-insecure",
    ]

    private static let sharedWithKeys = all.filter { shared.contains($0.name) }

    private static let viewOptions = [
        keysOption("separator", "CHARACTER") { value, keys throws(CommandFailure) in
            guard value.utf8.count == 1, let byte = value.utf8.first,
                KeyspaceOptions.isSeparator(byte)
            else { throw usage("a separator is one ASCII character, no letter, digit or '%'") }
            keys.separator = byte
        },
        keysOption("prefix", "TEXT") { value, keys throws(CommandFailure) in keys.prefix = value },
        keysOption("match", "PATTERN") { value, keys throws(CommandFailure) in
            guard !value.isEmpty else { throw usage("a pattern of SCAN, as in 'user:*'") }
            keys.match = value
        },
        keysOption("depth", "N") { value, keys throws(CommandFailure) in
            keys.depth = try number(value, in: KeysSettings.depthRange)
        },
        keysOption("hashes", "fields|directory") { value, keys throws(CommandFailure) in
            keys.hashes = try choice(value)
        },
        keysOption("format", "text|json") { value, keys throws(CommandFailure) in
            keys.format = try choice(value)
        },
        keysOption("redis-db", "N") { value, keys throws(CommandFailure) in
            keys.database = try number(value, in: 0...SourceParser.maximumDatabase)
        },
        keysOption("refresh", "TIME") { value, keys throws(CommandFailure) in
            keys.refresh = try time(value, from: 0)
        },
        keysOption("changes", "auto|tracking|notifications|none") {
            value, keys throws(CommandFailure) in keys.changes = try choice(value)
        },
    ]

    private static let changeOptions = [
        keysSwitch("write") { $0.isWritable = true },
        keysSwitch("read-only", aliases: ["ro"]) { $0.isWritable = false },
        keysSwitch("remove-any-type") { $0.mayRemoveAnyType = true },
        keysOption("on-conflict", "fail|overwrite|keep-both") {
            value, keys throws(CommandFailure) in keys.onConflict = try choice(value)
        },
    ]

    private static func keysOption(
        _ name: String, _ argument: String,
        _ apply: @escaping @Sendable (String, inout KeysSettings) throws(CommandFailure) -> Void
    ) -> MountOption {
        MountOption(name, argument: .required(argument)) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            var keys = settings.keys ?? KeysSettings()
            try apply(value, &keys)
            settings.keys = keys
        }
    }

    private static func keysSwitch(
        _ name: String, aliases: [String] = [],
        _ apply: @escaping @Sendable (inout KeysSettings) -> Void
    ) -> MountOption {
        MountOption(name, aliases: aliases) { (_, settings: inout MountSettings) in
            var keys = settings.keys ?? KeysSettings()
            apply(&keys)
            settings.keys = keys
        }
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ text: String
    ) throws(CommandFailure) -> Choice where Choice.RawValue == String {
        guard let choice = Choice(rawValue: text) else {
            let all = Choice.allCases.map { $0.rawValue }.joined(separator: ", ")
            throw usage("'\(text)' is none of \(all)")
        }
        return choice
    }

    private static func usage(_ message: String) -> CommandFailure {
        CommandFailure(message, status: .usage)
    }
}
