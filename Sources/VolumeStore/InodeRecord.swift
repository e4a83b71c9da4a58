public import Codecs
public import FileSystem
public import Primitives

/// What is stored of an inode, as a value. `docs/FORMAT.md`, "Inode", has the fields.
public struct InodeRecord: Sendable, Equatable {
    public var id: InodeID
    public var kind: FileKind
    /// The low 12 bits of a mode.
    public var permissions: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var linkCount: UInt32
    /// Bytes. Of a symbolic link: of its target.
    public var size: UInt64
    public var accessTime: Timestamp
    public var modificationTime: Timestamp
    public var changeTime: Timestamp
    public var device: UInt32
    /// Regular files only, else 0.
    public var data: DataID
    /// Upper bound (exclusive) of the block indexes ever stored for `data`; it never falls as long as
    /// `data` stays.
    public var allocatedBlocks: UInt64
    /// `nil`: any block below `allocatedBlocks` may be stored. Otherwise those from here on only in the
    /// chunks that the chunk hash of `data` names (a write far behind the end was made).
    public var denseBlocks: UInt64?
    /// How many blocks are stored; drives `st_blocks`.
    public var storedBlocks: UInt64
    public var birthEpoch: UInt64
    /// Directories only (of the root: itself), else 0.
    public var parent: InodeID
    /// Symbolic links only, else empty.
    public var target: [UInt8]
    /// `false`: no extended attribute was ever set, so asking for one needs no trip.
    public var hasXattrs: Bool
    /// Whether bytes behind `size` are known to be clear.
    public var tail: TailState
    /// The session that stored last behind the size, 0 when none did.
    public var extender: SessionID
    /// The extender ended without closing: what it stored and did not commit may lie behind `size`.
    public var extenderCrashed: Bool
    /// What blocks of a file are compressed with from now on, and what a directory gives to what is made in
    /// it; `nil`: the volume's codec.
    public var codec: Codec?

    public init(
        id: InodeID, kind: FileKind, permissions: UInt32, userID: UInt32 = 0, groupID: UInt32 = 0,
        linkCount: UInt32 = 1, size: UInt64 = 0, accessTime: Timestamp,
        modificationTime: Timestamp, changeTime: Timestamp, device: UInt32 = 0,
        data: DataID = DataID(0), allocatedBlocks: UInt64 = 0, denseBlocks: UInt64? = nil,
        storedBlocks: UInt64 = 0, birthEpoch: UInt64 = 0, parent: InodeID = InodeID(0),
        target: [UInt8] = [], hasXattrs: Bool = false, tail: TailState = .clear,
        extender: SessionID = SessionID(0), extenderCrashed: Bool = false, codec: Codec? = nil
    ) {
        self.id = id
        self.kind = kind
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.linkCount = linkCount
        self.size = size
        self.accessTime = accessTime
        self.modificationTime = modificationTime
        self.changeTime = changeTime
        self.device = device
        self.data = data
        self.allocatedBlocks = allocatedBlocks
        self.denseBlocks = denseBlocks
        self.storedBlocks = storedBlocks
        self.birthEpoch = birthEpoch
        self.parent = parent
        self.target = target
        self.hasXattrs = hasXattrs
        self.tail = tail
        self.extender = extender
        self.extenderCrashed = extenderCrashed
        self.codec = codec
    }

    /// `st_mode`.
    public var mode: UInt32 { kind.modeBits | permissions }

    /// Something may lie behind `size` that is not zeros: whoever extends the file clears it first.
    public var hasStaleTail: Bool { tail.isStale || extenderCrashed }
}

/// Whether the bytes between a file's size and its `alloc` are clear (docs/FORMAT.md, "Stale tails").
///
/// The generation rises by one with each shrink (to an odd number: stale) and with the end of each
/// clearing (to an even one), so a batch that is conditioned on a generation cannot have overlapped with
/// a clearing.
public struct TailState: Hashable, Sendable {
    public var generation: UInt64
    /// The session that is clearing; only while stale.
    public var claimant: SessionID?

    public init(generation: UInt64, claimant: SessionID? = nil) {
        self.generation = generation
        self.claimant = claimant
    }

    public static let clear = TailState(generation: 0)

    public var isStale: Bool { !generation.isMultiple(of: 2) }

    /// Stale, and being cleared by `session`.
    func claimed(by session: SessionID) -> TailState {
        TailState(generation: isStale ? generation : generation + 1, claimant: session)
    }

    var cleared: TailState {
        TailState(generation: isStale ? generation + 1 : generation)
    }
}

/// What a new inode begins with.
public struct NewInode: Sendable {
    public var kind: FileKind
    /// The low 12 bits of a mode.
    public var permissions: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var device: UInt32
    /// Of a symbolic link.
    public var target: [UInt8]
    public var time: Timestamp
    /// Extended attributes that it has from the start.
    public var attributes: [(name: [UInt8], value: [UInt8])] = []
    /// Of regular files and directories; `nil`: the volume's.
    public var codec: Codec?

    public init(
        kind: FileKind, permissions: UInt32, userID: UInt32 = 0, groupID: UInt32 = 0,
        device: UInt32 = 0, target: [UInt8] = [], time: Timestamp
    ) {
        self.kind = kind
        self.permissions = permissions
        self.userID = userID
        self.groupID = groupID
        self.device = device
        self.target = target
        self.time = time
    }
}
