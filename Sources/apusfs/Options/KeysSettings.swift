import KeyValue
import KeyspaceFS

/// What can be set about a mount of a keyspace beside what holds for every mount.
struct KeysSettings: Equatable, Sendable, Codable {
    /// One byte.
    var separator = UInt8(ascii: ":")
    var prefix = ""
    var match: String?
    var depth: Int?
    var hashes = KeyspaceOptions.Hashes.fields
    var format = KeyspaceOptions.Format.text
    /// The data belongs to others, so it is not changed unless somebody says so.
    var isWritable = false
    var mayRemoveAnyType = false
    var onConflict = KeyspaceOptions.ConflictPolicy.fail
    var changes = KeyspaceOptions.Watching.auto
    var refresh = TimeSpan(milliseconds: 10_000)
    /// Wins over that of the source.
    var database: Int?

    static let depthRange = 0...1_000

    /// Refuses what contradicts itself.
    func check() throws(CommandFailure) {
        guard separator != UInt8(ascii: ".") || hashes != .fields else {
            throw CommandFailure(
                "--separator .: a dot divides hash and field; add --hashes directory",
                status: .usage)
        }
    }

    func options(_ settings: MountSettings, isReadOnly: Bool) -> KeyspaceOptions {
        var options = KeyspaceOptions()
        options.separator = separator
        options.prefix = Bytes(prefix.utf8)
        options.pattern = match.map { Bytes($0.utf8) }
        options.depth = depth ?? Int.max
        options.hashes = hashes
        options.format = format
        options.isReadOnly = isReadOnly
        options.onConflict = onConflict
        options.mayRemoveAnyType = mayRemoveAnyType
        options.watching = changes
        options.refreshMilliseconds = refresh.milliseconds
        options.attributeTimeoutSeconds = settings.attributeTimeout?.seconds ?? 1
        options.entryTimeoutSeconds = settings.entryTimeout?.seconds ?? 1
        options.flushIntervalMilliseconds = settings.flushInterval.milliseconds
        options.userID = settings.ownerID
        options.groupID = settings.ownerGroupID
        return options
    }
}

extension MountSettings {
    /// All options were applied: a view of keys is checked, and writable only when that was said.
    mutating func completeKeys() throws(CommandFailure) {
        guard let keys else { return }
        try keys.check()
        isReadOnly = !keys.isWritable
    }
}
