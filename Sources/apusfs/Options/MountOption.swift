import Codecs
import FuseServer
import Primitives

/// One thing that can be set about a mount: a long flag of the command line and, with the same name, a
/// key of `-o`. In a key, `-` and `_` are the same.
struct MountOption: Sendable {
    enum Argument: Equatable, Sendable {
        /// Stands alone: `--read-only`, `-o read-only`.
        case none
        /// Takes a value, named so in the help: `--cache-size SIZE`, `-o cache-size=SIZE`.
        case required(String)
    }

    /// The long flag, without its dashes.
    let name: String
    /// Other keys of `-o` for the same: `ro`.
    let aliases: [String]
    let argument: Argument
    /// Checks the value and puts it into the settings. What it throws says what a value has to look
    /// like; the caller puts the name of the option before it.
    let apply: @Sendable (_ value: String, inout MountSettings) throws(CommandFailure) -> Void

    init(
        _ name: String, aliases: [String] = [], argument: Argument = .none,
        apply: @escaping @Sendable (String, inout MountSettings) throws(CommandFailure) -> Void
    ) {
        self.name = name
        self.aliases = aliases
        self.argument = argument
        self.apply = apply
    }

    static let all: [MountOption] =
        volumeOptions + speedOptions + accessOptions + tlsOptions + processOptions

    /// What these settings understand: those of a volume, or of a view of keys.
    static func all(for settings: MountSettings) -> [MountOption] {
        settings.keys == nil ? all : keys
    }

    /// Finds an option by a key of `-o`.
    static func named(_ key: String, among options: [MountOption] = all) -> MountOption? {
        let wanted = key.replacing("_", with: "-")
        return options.first { $0.name == wanted || $0.aliases.contains(wanted) }
    }

    /// Applies an option; `word` says where it stands, for what may be wrong with it.
    static func apply(
        _ name: String, _ value: String?, word: String, to settings: inout MountSettings
    ) throws(CommandFailure) {
        let options = all(for: settings)
        guard let option = named(name, among: options) else {
            let near = Spelling.nearest(to: name, among: options.map(\.name))
            throw usage(
                "\(word): unknown option" + (near.map { "; did you mean '\($0)'?" } ?? ""))
        }
        try MountOptionList.apply(option, value: value, word: word, to: &settings)
    }

    /// Applies flags of the command line.
    static func apply(
        _ flags: [GivenFlag], to settings: inout MountSettings
    ) throws(CommandFailure) {
        for (name, value) in flags {
            try apply(name, value, word: "--\(name)", to: &settings)
        }
    }

    // MARK: The table

    private static let volumeOptions = [
        MountOption("volume", aliases: ["prefix"], argument: .required("NAME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.volume = try volumeName(value)
        },
        MountOption("codec", argument: .required("CODEC")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.codec = try codec(value)
        },
        MountOption("block-size", argument: .required("SIZE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.blockSizeBytes = try blockSize(value)
        },
    ]

    private static let speedOptions = [
        MountOption("cache-size", argument: .required("SIZE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.cacheBytes = try size(value, in: MountSettings.cacheRange)
        },
        MountOption("threads", argument: .required("N")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.threads = try number(value, in: MountSettings.threadRange)
        },
        MountOption("connections", argument: .required("N")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.connections = try number(value, in: MountSettings.connectionRange)
        },
        MountOption("flush-interval", argument: .required("TIME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.flushInterval = try time(value, from: 10)
        },
        MountOption("attr-timeout", argument: .required("TIME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.attributeTimeout = try time(value, from: 0)
        },
        MountOption("entry-timeout", argument: .required("TIME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.entryTimeout = try time(value, from: 0)
        },
        MountOption("transport", argument: .required("auto|device|uring")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.transport = try transport(value)
        },
        MountOption("splice") { (_, settings: inout MountSettings) in settings.splice = true },
        MountOption("clone-fd") { (_, settings: inout MountSettings) in
            settings.cloneDescriptor = true
        },
    ]

    private static let accessOptions = [
        MountOption("read-only", aliases: ["ro"]) { (_, settings: inout MountSettings) in
            settings.isReadOnly = true
        },
        MountOption("nfs-export") { (_, settings: inout MountSettings) in
            settings.exportsHandles = true
        },
        MountOption("local-lock", argument: .required("none|flock|posix|all")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.localLocks = try lockKinds(value)
        },
        MountOption("noatime") { (_, settings: inout MountSettings) in
            settings.accessTimes = .noatime
        },
        MountOption("relatime") { (_, settings: inout MountSettings) in
            settings.accessTimes = .relatime
        },
        MountOption("strictatime") { (_, settings: inout MountSettings) in
            settings.accessTimes = .strictatime
        },
        MountOption("allow-other") { (_, settings: inout MountSettings) in
            settings.allowOther = true
        },
        MountOption("no-allow-other") { (_, settings: inout MountSettings) in
            settings.allowOther = false
        },
        MountOption("nonempty") { (_, settings: inout MountSettings) in
            settings.allowNonEmpty = true
        },
        MountOption("io-timeout", argument: .required("TIME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.ioTimeout = try time(value, from: 100)
        },
        MountOption("fsync-replicas", argument: .required("N")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.fsyncReplicas = try number(value, in: MountSettings.replicaRange)
        },
        MountOption("strict") { (_, settings: inout MountSettings) in settings.isStrict = true },
    ]

    private static let tlsOptions = [
        MountOption("tls-ca", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.tls.authorityFile = try path(value)
        },
        MountOption("tls-cert", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.tls.certificateFile = try path(value)
        },
        MountOption("tls-key", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.tls.keyFile = try path(value)
        },
        MountOption("tls-server-name", argument: .required("NAME")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            guard (1...253).contains(value.utf8.count) else {
                throw usage("needs the name of a host, of at most 253 bytes")
            }
            settings.tls.serverName = value
        },
        MountOption("tls-insecure") { (_, settings: inout MountSettings) in
            settings.tls.isInsecure = true
        },
    ]

    private static let processOptions = [
        MountOption("password-file", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.passwordFile = try path(value)
        },
        MountOption("log-file", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.logFile = try path(value)
        },
        MountOption("pid-file", argument: .required("FILE")) {
            (value, settings: inout MountSettings) throws(CommandFailure) in
            settings.pidFile = try path(value)
        },
        MountOption("foreground") { (_, settings: inout MountSettings) in
            settings.isForeground = true
        },
        MountOption("debug") { (_, settings: inout MountSettings) in settings.isDebug = true },
    ]
}

// MARK: Values

extension MountOption {
    /// 1 to 64 bytes of `[A-Za-z0-9._-]`.
    static func volumeName(_ text: String) throws(CommandFailure) -> String {
        let isAllowed = text.unicodeScalars.allSatisfy {
            switch $0 {
            case "A"..."Z", "a"..."z", "0"..."9", ".", "_", "-": true
            default: false
            }
        }
        // The name also names a directory of the default place, so `.` and `..` are none.
        guard isAllowed, (1...64).contains(text.utf8.count), text != ".", text != ".." else {
            throw usage("a volume's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -")
        }
        return text
    }

    static func transport(_ text: String) throws(CommandFailure) -> TransportChoice {
        guard let choice = TransportChoice(rawValue: text) else {
            throw usage("'\(text)' is no transport: auto, device or uring")
        }
        return choice
    }

    /// By the words of nfs(5).
    static func lockKinds(_ text: String) throws(CommandFailure) -> LockKinds {
        switch text {
        case "none": return []
        case "flock": return .flock
        case "posix": return .posix
        case "all": return .all
        default: throw usage("'\(text)' is no kind of lock: none, flock, posix or all")
        }
    }

    static func codec(_ text: String) throws(CommandFailure) -> Codec {
        guard let codec = Codec(name: text) else {
            throw usage("'\(text)' is no codec: none, lz4, zlib or zlib:1 to zlib:9")
        }
        return codec
    }

    /// A multiple of 4 KiB from 4 KiB to 1 MiB.
    static func blockSize(_ text: String) throws(CommandFailure) -> Int {
        guard let size = ByteSize(text) else { throw noSize(text) }
        guard BlockSize(bytes: size.bytes) != nil else {
            throw usage("\(size) is no block size: a multiple of 4 KiB from 4 KiB to 1 MiB")
        }
        return size.bytes
    }

    static func size(_ text: String, in range: ClosedRange<Int>) throws(CommandFailure) -> Int {
        guard let size = ByteSize(text) else { throw noSize(text) }
        guard range.contains(size.bytes) else {
            throw usage(
                "\(size) is outside of \(ByteSize(bytes: range.lowerBound)) to "
                    + "\(ByteSize(bytes: range.upperBound))")
        }
        return size.bytes
    }

    static func number(_ text: String, in range: ClosedRange<Int>) throws(CommandFailure) -> Int {
        guard text.allSatisfy(\.isASCIIDigit), let number = Int(text), range.contains(number) else {
            throw usage("'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    static func time(
        _ text: String, from minimumMilliseconds: Int
    ) throws(CommandFailure) -> TimeSpan {
        guard let time = TimeSpan(text) else {
            throw usage("'\(text)' is no time: write 1, 0.5, 250ms, 30s, 2m or 1h, up to a year")
        }
        guard time.milliseconds >= minimumMilliseconds else {
            throw usage("\(time) is less than \(TimeSpan(milliseconds: minimumMilliseconds))")
        }
        return time
    }

    private static func path(_ text: String) throws(CommandFailure) -> String {
        guard !text.isEmpty else { throw usage("needs the path of a file") }
        return text
    }

    private static func noSize(_ text: String) -> CommandFailure {
        usage("'\(text)' is no size: write bytes or units, as in 65536, 512M or 2GiB")
    }

    private static func usage(_ message: String) -> CommandFailure {
        CommandFailure(message, status: .usage)
    }
}
