/// What `VolumeCheck` may do.
public struct CheckOptions: Sendable {
    /// Mends what is found; otherwise nothing is changed.
    public var repairs = false
    /// Reads every block and judges its frame, checksum and content.
    public var readsData = false
    /// Memory for the tables of one pass, in bytes. A volume that needs more is walked several times.
    public var memoryBytes = 256 << 20

    public init() {}
}

/// Something that a volume should not have.
public struct CheckFinding: Hashable, Sendable {
    public enum Outcome: String, Sendable, Codable {
        /// Only looked at.
        case found
        case mended
        /// Could not be mended, or changed while it was looked at.
        case left
    }

    public var kind: CheckKind
    /// The key, inode or name that it is about.
    public var subject: String
    /// For people: what is wrong with it.
    public var detail: String
    public var outcome: Outcome
}

/// The kinds of findings. Their names are stable: scripts read them.
public enum CheckKind: String, CaseIterable, Sendable, Codable {
    // Damage: no sequence of operations and crashes leads here.
    case unreadableInode
    case unreadableEntry
    case unreadableLocks
    case unreadableChunks
    case wrongKindOfKey
    case danglingEntry
    case wrongEntryType
    case orphan
    case wrongLinkCount
    case wrongParent
    case surplusDirectoryName
    case directoryCycle
    case directoryWithoutInode
    case attributesWithoutInode
    case hiddenAttributes
    case allocTooLow
    case unregisteredChunk
    case blocksBehindEnd
    case sharedData
    case leakedBlocks
    case leakedChunks
    case leakedNamelessInode
    case lowIdentifier
    case wrongInodeCounter
    case wrongCounter
    case badBlock
    case malformedGarbage
    case malformedMember
    case unknownKey

    // Leftovers: what a crash may leave; a mount collects them, or nothing depends on them.
    case expiredSession
    case leftSession
    case leftOrphanList
    case leftLocks
    case wrongBlockCount
    case wrongBlockCounter

    /// Whether the volume is not what its format says. A leftover is not damage.
    public var isDamage: Bool {
        switch self {
        case .expiredSession, .leftSession, .leftOrphanList, .leftLocks, .wrongBlockCount,
            .wrongBlockCounter:
            false
        case .unreadableInode, .unreadableEntry, .unreadableLocks, .unreadableChunks,
            .wrongKindOfKey, .danglingEntry, .wrongEntryType, .orphan, .wrongLinkCount,
            .wrongParent, .surplusDirectoryName,
            .directoryCycle,
            .directoryWithoutInode, .attributesWithoutInode, .hiddenAttributes, .allocTooLow,
            .unregisteredChunk,
            .blocksBehindEnd, .sharedData, .leakedBlocks, .leakedChunks, .leakedNamelessInode,
            .lowIdentifier, .wrongInodeCounter, .wrongCounter, .badBlock, .malformedGarbage,
            .malformedMember, .unknownKey:
            true
        }
    }
}

/// How far a check is.
public struct CheckProgress: Sendable, Equatable {
    public enum Stage: String, Sendable {
        case blocks
        case records
        case tree
        case findings
    }

    public var round: Int
    public var stage: Stage
    public var done: UInt64
    /// About how many there are; 0 when nobody knows.
    public var total: UInt64
}

/// The outcome of a check.
public struct CheckReport: Sendable {
    /// More findings than these are only counted.
    public static let maximumFindings = 10_000

    public var findings: [CheckFinding] = []
    /// Findings that were only counted.
    public var uncounted: UInt64 = 0
    /// Damage that is there at the end.
    public var damageLeft: UInt64 = 0
    public var mended: UInt64 = 0
    /// Leftovers that are there at the end.
    public var leftovers: UInt64 = 0
    /// What was suspicious, and changed each time that it was looked at again: mounts are at it.
    public var unsettled: UInt64 = 0
    public var inodes: UInt64 = 0
    public var directories: UInt64 = 0
    public var entries: UInt64 = 0
    public var blocks: UInt64 = 0
    /// Stored bytes of blocks that were read; 0 unless they were.
    public var readBytes: UInt64 = 0
    public var rounds = 0
    /// Walks of the volume in the last round: more than one when its tables exceed the memory.
    public var passes = 0
    /// Whether mounts changed the volume during the last round.
    public var wasInUse = false

    public var isClean: Bool { damageLeft == 0 && unsettled == 0 }
}
