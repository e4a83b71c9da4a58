public import Primitives

/// Who asks. Plain bits: passing one along costs no reference count.
public struct Caller: Sendable, BitwiseCopyable {
    public var userID: UInt32
    public var groupID: UInt32
    /// 0 when the kernel itself asks.
    public var processID: Int32
    /// The mode bits to leave out of new files.
    public var umask: UInt32

    public init(userID: UInt32, groupID: UInt32, processID: Int32, umask: UInt32 = 0) {
        self.userID = userID
        self.groupID = groupID
        self.processID = processID
        self.umask = umask
    }
}

/// One component of a path, a target of a symbolic link, or the name of an extended attribute: bytes
/// without NUL, lent for the length of a call.
public struct FileName: @unchecked Sendable {
    // SAFETY: points into the request, which outlives the call that this is passed to.
    public let bytes: UnsafeRawBufferPointer

    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The bytes of a C string, without the NUL.
    public init(cString: UnsafePointer<CChar>) {
        var length = 0
        while cString[length] != 0 { length += 1 }
        bytes = UnsafeRawBufferPointer(start: cString, count: length)
    }

    /// A copy that may be kept.
    public var copied: [UInt8] { [UInt8](bytes) }

    public static let maximumByteCount = 255
}

/// The kind of an inode.
public enum FileKind: UInt8, Sendable, CaseIterable {
    case regular
    case directory
    case symbolicLink
    case fifo
    case socket
    case characterDevice
    case blockDevice

    /// The file type bits of `st_mode` (inode(7)).
    public var modeBits: UInt32 {
        switch self {
        case .regular: 0o100000
        case .directory: 0o040000
        case .symbolicLink: 0o120000
        case .fifo: 0o010000
        case .socket: 0o140000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        }
    }

    /// `nil` for type bits that name no kind. No type bits at all mean a regular file, as in mknod(2).
    public init?(mode: UInt32) {
        switch mode & 0o170000 {
        case 0, 0o100000: self = .regular
        case 0o040000: self = .directory
        case 0o120000: self = .symbolicLink
        case 0o010000: self = .fifo
        case 0o140000: self = .socket
        case 0o020000: self = .characterDevice
        case 0o060000: self = .blockDevice
        default: return nil
        }
    }

    /// `d_type` of readdir(3).
    public var directoryType: UInt8 { UInt8(modeBits >> 12) }
}

/// What stat(2) tells of an inode.
public struct Attributes: Sendable, Equatable {
    public var inode: InodeID
    public var kind: FileKind
    /// Permission bits with setuid, setgid and sticky: the low 12 bits of `st_mode`.
    public var permissions: UInt32
    public var linkCount: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var device: UInt32
    /// Bytes.
    public var size: UInt64
    /// Units of 512 bytes, as `st_blocks`.
    public var storedSectors: UInt64
    /// `st_blksize`: the size of requests that suits best.
    public var preferredIOBytes: UInt32
    public var accessTime: Timestamp
    public var modificationTime: Timestamp
    public var changeTime: Timestamp

    public init(
        inode: InodeID, kind: FileKind, permissions: UInt32, linkCount: UInt32, userID: UInt32,
        groupID: UInt32, device: UInt32, size: UInt64, storedSectors: UInt64,
        preferredIOBytes: UInt32, accessTime: Timestamp, modificationTime: Timestamp,
        changeTime: Timestamp
    ) {
        self.inode = inode
        self.kind = kind
        self.permissions = permissions
        self.linkCount = linkCount
        self.userID = userID
        self.groupID = groupID
        self.device = device
        self.size = size
        self.storedSectors = storedSectors
        self.preferredIOBytes = preferredIOBytes
        self.accessTime = accessTime
        self.modificationTime = modificationTime
        self.changeTime = changeTime
    }

    /// `st_mode`.
    public var mode: UInt32 { kind.modeBits | permissions }
}

/// An inode with the time for which the kernel may believe it.
public struct AttributesAnswer: Sendable {
    public var attributes: Attributes
    public var timeoutSeconds: Double

    public init(attributes: Attributes, timeoutSeconds: Double) {
        self.attributes = attributes
        self.timeoutSeconds = timeoutSeconds
    }
}

/// A name's inode, with the times for which the kernel may believe the name and the attributes.
public struct EntryAnswer: Sendable {
    public var attributes: Attributes
    /// Distinguishes inodes that reuse a number; always the same for one inode, 0 for the root.
    public var generation: UInt64
    public var entryTimeoutSeconds: Double
    public var attributesTimeoutSeconds: Double

    public init(
        attributes: Attributes, generation: UInt64 = 0, entryTimeoutSeconds: Double,
        attributesTimeoutSeconds: Double
    ) {
        self.attributes = attributes
        self.generation = generation
        self.entryTimeoutSeconds = entryTimeoutSeconds
        self.attributesTimeoutSeconds = attributesTimeoutSeconds
    }
}

/// What setattr changes; `nil` stays as it is.
public struct AttributeChanges: Sendable {
    public enum TimeChange: Sendable, Equatable {
        /// UTIME_NOW.
        case now
        case to(Timestamp)

        public func timestamp(now: Timestamp) -> Timestamp {
            switch self {
            case .now: now
            case .to(let time): time
            }
        }
    }

    /// The low 12 bits of a mode.
    public var permissions: UInt32?
    public var userID: UInt32?
    public var groupID: UInt32?
    public var size: UInt64?
    public var accessTime: TimeChange?
    public var modificationTime: TimeChange?
    public var changeTime: Timestamp?
    /// The kernel asks to clear setuid and setgid with this change (FATTR_KILL_SUIDGID).
    public var clearsPrivileges = false

    public init() {}
}

/// renameat2(2).
public struct RenameFlags: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noReplace = RenameFlags(rawValue: 1)
    public static let exchange = RenameFlags(rawValue: 2)
    public static let whiteout = RenameFlags(rawValue: 4)
}

public enum SetXattrMode: Sendable {
    case createOrReplace
    /// XATTR_CREATE: EEXIST when it is there.
    case create
    /// XATTR_REPLACE: ENODATA when it is not.
    case replace
}

/// Names what an open file or directory is to the filesystem; chosen by `open`, `create`, `opendir`.
public struct HandleID: Hashable, Sendable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// The flags of open(2) that a filesystem acts on.
public struct OpenOptions: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let read = OpenOptions(rawValue: 1)
    public static let write = OpenOptions(rawValue: 2)
    public static let append = OpenOptions(rawValue: 4)
    public static let truncate = OpenOptions(rawValue: 8)
    /// O_EXCL with O_CREAT.
    public static let exclusive = OpenOptions(rawValue: 16)
    /// O_DIRECT.
    public static let direct = OpenOptions(rawValue: 32)
    /// O_SYNC or O_DSYNC: a write returns when it is stored.
    public static let synchronous = OpenOptions(rawValue: 64)
    /// FUSE_OPEN_KILL_SUIDGID: clear setuid and setgid with the truncation.
    public static let clearsPrivileges = OpenOptions(rawValue: 128)
}

public struct WriteOptions: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// From the page cache (a shared mapping): the handle may be a guess.
    public static let fromPageCache = WriteOptions(rawValue: 1)
    /// FUSE_WRITE_KILL_SUIDGID: clear setuid and setgid.
    public static let clearsPrivileges = WriteOptions(rawValue: 2)
    /// O_APPEND: the offset is where the kernel believes the end to be.
    public static let append = WriteOptions(rawValue: 4)
}

/// How the kernel shall treat an open file or directory.
public struct OpenAnswer: Sendable {
    public var handle: HandleID
    /// Pages that the kernel already caches of this inode are still right (FOPEN_KEEP_CACHE).
    public var keepsCache = false
    /// Bypass the page cache (FOPEN_DIRECT_IO).
    public var direct = false
    /// close(2) needs no FLUSH (FOPEN_NOFLUSH).
    public var skipsFlush = false
    /// The kernel may cache the listing (FOPEN_CACHE_DIR).
    public var cachesDirectory = false
    /// Several direct writes at a time (FOPEN_PARALLEL_DIRECT_WRITES).
    public var parallelDirectWrites = false

    public init(handle: HandleID) { self.handle = handle }
}

public enum SeekWhence: Sendable {
    case data
    case hole
}

/// One end of a copy.
public struct FileRangeStart: Sendable {
    public var inode: InodeID
    public var handle: HandleID
    public var offset: FileOffset

    public init(inode: InodeID, handle: HandleID, offset: FileOffset) {
        self.inode = inode
        self.handle = handle
        self.offset = offset
    }
}

/// One entry of a directory, lent for the length of the sink's call.
public struct DirectoryEntry {
    public var name: FileName
    public var inode: InodeID
    public var kind: FileKind
    /// Pass this to `readdir` to go on behind this entry.
    public var cookie: UInt64
    /// `nil` when the attributes are not at hand.
    public var answer: EntryAnswer?

    public init(
        name: FileName, inode: InodeID, kind: FileKind, cookie: UInt64, answer: EntryAnswer?
    ) {
        self.name = name
        self.inode = inode
        self.kind = kind
        self.cookie = cookie
        self.answer = answer
    }
}

public enum DirectorySinkAnswer: Sendable {
    case taken
    /// There was no room: the entry was not delivered, and no more shall come.
    case full
}

/// statfs(2).
public struct VolumeStatistics: Sendable, Equatable {
    public var fragmentBytes: UInt64
    /// In units of `fragmentBytes`.
    public var totalBlocks: UInt64
    public var freeBlocks: UInt64
    /// What of these data can take.
    public var availableBlocks: UInt64
    public var totalInodes: UInt64
    public var freeInodes: UInt64
    public var maximumNameBytes: UInt64

    public init(
        fragmentBytes: UInt64, totalBlocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64,
        totalInodes: UInt64, freeInodes: UInt64, maximumNameBytes: UInt64
    ) {
        self.fragmentBytes = fragmentBytes
        self.totalBlocks = totalBlocks
        self.freeBlocks = freeBlocks
        self.availableBlocks = availableBlocks
        self.totalInodes = totalInodes
        self.freeInodes = freeInodes
        self.maximumNameBytes = maximumNameBytes
    }
}
