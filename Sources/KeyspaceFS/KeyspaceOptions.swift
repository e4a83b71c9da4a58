public import KeyValue

/// How a dataset is shown and what may be done to it.
public struct KeyspaceOptions: Sendable, Equatable {
    public enum Hashes: String, Sendable, CaseIterable, Codable {
        /// Field `f` of hash `k` is the file `k.f`.
        case fields
        /// Hash `k` is a directory with one file a field.
        case directory
    }

    /// How lists, sets, sorted sets and streams read.
    public enum Format: String, Sendable, CaseIterable, Codable {
        case text
        case json
    }

    /// What happens when a value was changed by others while it was being edited here.
    public enum ConflictPolicy: String, Sendable, CaseIterable, Codable {
        /// The close fails, and what others stored stays.
        case fail
        /// What was written here is stored over it.
        case overwrite
        /// What was written here is stored beside it.
        case keepBoth = "keep-both"
    }

    /// How changes of other clients are learned.
    public enum Watching: String, Sendable, CaseIterable, Codable {
        /// The best way that the server offers.
        case auto
        case tracking
        case notifications
        /// Not at all: only the time limits apply.
        case none
    }

    /// Divides keys into directories: one byte, not a letter, a digit or `%`.
    public var separator = UInt8(ascii: ":")
    /// Only keys that begin so are shown, without it.
    public var prefix = Bytes()
    /// Only keys that match this pattern (as of SCAN) are shown.
    public var pattern: Bytes?
    /// How many separators divide a key at most; the others stay in the name.
    public var depth = Int.max
    public var hashes = Hashes.fields
    public var format = Format.text
    public var isReadOnly = true
    public var onConflict = ConflictPolicy.fail
    /// Lists, sets, sorted sets and streams may be removed, renamed and replaced as a whole.
    public var mayRemoveAnyType = false
    public var watching = Watching.auto
    /// How long what is known of names is believed where no changes are announced.
    public var refreshMilliseconds = 10_000
    public var attributeTimeoutSeconds = 1.0
    public var entryTimeoutSeconds = 1.0
    /// How long changes of a file that stays open wait before they are stored.
    public var flushIntervalMilliseconds = 5_000
    public var userID: UInt32 = 0
    public var groupID: UInt32 = 0

    // What bounds memory.

    /// Inodes that are kept before the kernel is asked to forget some.
    public var inodeLimit = 100_000
    /// Directories that are known by a number of 8 bytes each.
    public var indexLimit = 8 << 20
    /// Bytes in which all keys are kept, when they fit, while changes are announced.
    public var keyBytes = 64 << 20
    /// Entries by which one listing knows what it has shown, 8 bytes each.
    public var listingLimit = 8 << 20
    /// Bytes of one file that are changed and not yet stored.
    public var pendingBytes = 8 << 20
    /// Elements, and bytes of memory at the server, of a list, set, sorted set or stream whose text's size is
    /// counted there to be shown before it is opened.
    public var countedElements: Int64 = 100_000
    public var countedBytes: Int64 = 32 << 20
    /// Bytes of the text of a list, set, sorted set or stream.
    public var renderingBytes = 256 << 20

    public init() {}

    /// Whether a byte can be a separator: letters and digits would be confused with escapes.
    public static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "%"), 0:
            false
        default: true
        }
    }
}
