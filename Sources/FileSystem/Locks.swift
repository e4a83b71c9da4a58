public import Primitives

/// Which locks exclude each other: those of fcntl(2) (record locks and open-file-description locks) know
/// nothing of those of flock(2).
public enum LockFamily: UInt8, Sendable, CaseIterable {
    case record
    case wholeFile
}

public enum LockMode: UInt8, Sendable, CaseIterable {
    case shared
    case exclusive
}

/// An advisory lock on bytes of a file.
public struct FileLock: Hashable, Sendable {
    /// The last byte that a lock reaches: `l_len` 0 means up to here (fcntl(2)).
    public static let lastByte = UInt64(Int64.max)

    public var family: LockFamily
    /// Who holds it, as the kernel of this mount counts: a process or an open file description.
    public var owner: UInt64
    public var mode: LockMode
    /// At most up to `lastByte`. Of flock(2): the whole file.
    public var range: ClosedRange<UInt64>
    /// The process that asked, as the daemon sees it; 0 when it lives where that number means nothing.
    public var processID: Int32

    public init(
        family: LockFamily, owner: UInt64, mode: LockMode, range: ClosedRange<UInt64>,
        processID: Int32
    ) {
        self.family = family
        self.owner = owner
        self.mode = mode
        self.range = range
        self.processID = processID
    }

    public static let wholeRange: ClosedRange<UInt64> = 0...lastByte
}

/// Names a request that waits for a lock.
public struct LockTicket: Hashable, Sendable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What a request for a lock has come to.
public enum LockStart: Sendable, Equatable {
    case taken
    /// `onAnswer` will be called, once: with `nil` when the lock is taken.
    case later(LockTicket)
}

// A filesystem without locks of its own leaves them to the kernel: they exclude programs of one mount.
extension FileSystemOperations {
    public var servesLocks: Bool { false }

    public func lockHolder(
        _ caller: Caller, inode: InodeID, handle: HandleID, against lock: FileLock
    ) throws(Errno) -> FileLock? {
        throw .notImplemented
    }

    public func setLock(
        _ caller: Caller, inode: InodeID, handle: HandleID, lock: FileLock, waits: Bool,
        onAnswer: @escaping @Sendable (Errno?) -> Void
    ) throws(Errno) -> LockStart {
        throw .notImplemented
    }

    public func cancelLock(_ ticket: LockTicket) {}

    public func unlock(
        _ caller: Caller, inode: InodeID, handle: HandleID, family: LockFamily, owner: UInt64,
        range: ClosedRange<UInt64>
    ) throws(Errno) {
        throw .notImplemented
    }
}
