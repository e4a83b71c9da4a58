// The vocabulary of a mounted filesystem and the protocol that FuseServer serves.
//
// Knows neither FUSE nor Redis. An implementation is a volume, a keyspace view, a snapshot; a server of
// this protocol is FUSE over a device, FUSE over io_uring, a test.
//
// Invariants:
//  1. Calls come from any thread, several at a time; each returns when its answer is known.
//  2. Everything passed in is lent for the length of the call: names, payloads, the sink of a read.
//  3. Each `EntryAnswer` that is returned counts one kernel reference on its inode, to be given back by
//     `forget`; a server that could not deliver the answer gives it back itself.
//  4. Only `Errno` is thrown, with the numbers of the POSIX page of the call.

public import Primitives

/// The operations of a mounted filesystem, one for each request of the FUSE low-level protocol
/// (fuse_lowlevel.h), named as there.
public protocol FileSystemOperations: AnyObject, Sendable {
    // MARK: Names

    /// Whether `lookup` serves file handles: `.` below any number that was ever given out, of an inode of
    /// any kind, is that inode (ESTALE when it is gone), `..` below a directory the one that holds it. Asked
    /// once, before the first request; if not, a handle is good while the kernel keeps the inode.
    var servesHandles: Bool { get }
    /// Whether files can be changed by others than the programs of this mount. Asked once, before the first
    /// request.
    var mayChangeElsewhere: Bool { get }
    /// Finds `name` in a directory. ENOENT when it is not there.
    func lookup(
        _ caller: Caller, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer
    /// How long the kernel may believe that a name for which `lookup` threw ENOENT does not exist.
    var negativeEntryTimeoutSeconds: Double { get }
    /// Gives back `count` kernel references.
    func forget(_ inode: InodeID, count: UInt64)

    func mknod(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, device: UInt32
    ) throws(Errno) -> EntryAnswer
    func mkdir(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32
    ) throws(Errno) -> EntryAnswer
    func symlink(
        _ caller: Caller, target: FileName, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer
    func link(
        _ caller: Caller, inode: InodeID, newParent: InodeID, newName: FileName
    ) throws(Errno) -> EntryAnswer
    func unlink(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno)
    func rmdir(_ caller: Caller, parent: InodeID, name: FileName) throws(Errno)
    func rename(
        _ caller: Caller, parent: InodeID, name: FileName,
        newParent: InodeID, newName: FileName, flags: RenameFlags
    ) throws(Errno)
    /// The target of a symbolic link. EINVAL for anything else.
    func readlink(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8]

    // MARK: Attributes

    func getattr(
        _ caller: Caller, inode: InodeID, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer
    func setattr(
        _ caller: Caller, inode: InodeID, changes: AttributeChanges, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer
    func access(_ caller: Caller, inode: InodeID, mask: Int32) throws(Errno)
    func statfs(_ caller: Caller, inode: InodeID) throws(Errno) -> VolumeStatistics

    // MARK: Extended attributes

    /// The value. ENODATA when there is none of that name. The server does the size dance (ERANGE).
    func getxattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) -> [UInt8]
    /// Every name with a NUL behind it.
    func listxattr(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8]
    func setxattr(
        _ caller: Caller, inode: InodeID, name: FileName, value: UnsafeRawBufferPointer,
        mode: SetXattrMode
    ) throws(Errno)
    func removexattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno)

    // MARK: Open files

    func open(_ caller: Caller, inode: InodeID, options: OpenOptions) throws(Errno) -> OpenAnswer
    /// Makes and opens a regular file; opens the one that is there unless `options` is exclusive.
    func create(
        _ caller: Caller, parent: InodeID, name: FileName, mode: UInt32, options: OpenOptions
    ) throws(Errno) -> (EntryAnswer, OpenAnswer)
    /// Hands the bytes from `offset` on, at most `count` and fewer only at the end of the file, to
    /// `sink`, exactly once, in pieces that are lent for the length of that call.
    func read(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, count: Int,
        sink: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Void
    ) throws(Errno)
    /// Returns how many bytes were taken, which is all of them.
    func write(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, options: WriteOptions
    ) throws(Errno) -> Int
    /// On each close(2) of a descriptor: stores what is dirty and reports what could not be stored.
    func flush(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64
    ) throws(Errno)
    /// The last descriptor of the handle is gone. Errors have nobody to go to.
    func release(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64, flush: Bool,
        releaseFlock: Bool)
    /// Returns when the data (and, unless `dataOnly`, all attributes) is in the store.
    func fsync(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno)
    /// EOPNOTSUPP for modes that the filesystem does not have.
    func fallocate(
        _ caller: Caller, inode: InodeID, handle: HandleID, mode: Int32, offset: FileOffset,
        length: UInt64
    ) throws(Errno)
    /// SEEK_DATA and SEEK_HOLE. ENXIO past the end.
    func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset
    func copyFileRange(
        _ caller: Caller, from: FileRangeStart, to: FileRangeStart, length: UInt64
    ) throws(Errno) -> UInt64

    // MARK: Locks

    /// Whether the four operations below are served. Asked once, before the first request; if not, the
    /// kernel keeps locks itself.
    var servesLocks: Bool { get }
    /// A lock that keeps `lock` from being taken (F_GETLK); `nil` when nothing does.
    func lockHolder(
        _ caller: Caller, inode: InodeID, handle: HandleID, against lock: FileLock
    ) throws(Errno) -> FileLock?
    /// Takes a lock, in the place of what its owner holds in that range. While others are in the way:
    /// EAGAIN, or if it `waits`, a ticket; then `onAnswer` is called later from any thread, perhaps
    /// before this returns. EDEADLK when it would wait for ever, ENOLCK when there are too many.
    func setLock(
        _ caller: Caller, inode: InodeID, handle: HandleID, lock: FileLock, waits: Bool,
        onAnswer: @escaping @Sendable (Errno?) -> Void
    ) throws(Errno) -> LockStart
    /// The program was interrupted: `onAnswer` is called soon, with EINTR unless the lock came first.
    func cancelLock(_ ticket: LockTicket)
    /// Gives up what `owner` holds in `range`. `flush` (of a record lock's owner) and `release` (of the
    /// rest) do the same for the whole file.
    func unlock(
        _ caller: Caller, inode: InodeID, handle: HandleID, family: LockFamily, owner: UInt64,
        range: ClosedRange<UInt64>
    ) throws(Errno)

    // MARK: Directories

    func opendir(_ caller: Caller, inode: InodeID) throws(Errno) -> OpenAnswer
    /// Calls `sink` for each entry behind `cookie` (0: from the start) until it says that there is no
    /// room. `.` and `..` are entries. With `withAttributes`, each entry for which `sink` returned
    /// `.taken` and that carries attributes counts one kernel reference (never `.` and `..`).
    func readdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, cookie: UInt64, withAttributes: Bool,
        sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno)
    func releasedir(_ caller: Caller, inode: InodeID, handle: HandleID)
    func fsyncdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno)

    // MARK: Life

    /// The mount answers now. `notifier` tells the kernel to drop what it caches.
    func mounted(notifier: any KernelNotifier)
    /// The mount is gone: store everything, give up the session. Called once, after the last request.
    func unmounted()
}

/// Tells the kernel to drop what it caches. Never called from inside a request without looking whether there
/// is room, nor with a lock held that a request may wait for (the kernel takes locks that a pending request
/// holds).
public protocol KernelNotifier: AnyObject, Sendable {
    /// Drops the attributes of an inode and, unless `range` is `nil`, cached pages in it.
    func invalidateInode(_ inode: InodeID, range: Range<UInt64>?)
    /// The same without ever waiting, for what a request has to say once.
    func invalidateInodeOfRequest(_ inode: InodeID, range: Range<UInt64>)
    /// Of a request, too: the file reaches at least to `end`, and this is the last byte of that; its other
    /// pages stay as they are.
    func extend(_ inode: InodeID, to end: UInt64, lastByte: UInt8)
    /// Drops the entry (also a negative one).
    func invalidateEntry(parent: InodeID, name: [UInt8])
    /// Makes the kernel ask again for every entry of the mount before it believes it: for when it is not
    /// known what changed. Returns whether this kernel can do that.
    func invalidateAllEntries() -> Bool
    /// Whether `invalidateAllEntries` works.
    var canInvalidateAllEntries: Bool { get }
    /// Drops the attributes of an inode at once, in the calling thread. May be made inside
    /// a request: it takes no lock that a request holds.
    func expireAttributes(_ inode: InodeID)
    /// Whether something that was said of the inode, or of others beside it, may not have been heard yet.
    func waits(for inode: InodeID) -> Bool
    /// Whether something can be said of the inode without waiting until other things have been heard. What is
    /// said inside a request, and waited for with a time limit, is said only then.
    func hasRoom(for inode: InodeID) -> Bool
    /// Calls `body` once the kernel has heard everything that was said of the inode so far, in this or in
    /// another thread. Not called any more when the mount ends before.
    func afterInvalidations(of inode: InodeID, _ body: @escaping @Sendable () -> Void)
}

extension FileSystemOperations {
    public var servesHandles: Bool { false }
    public var mayChangeElsewhere: Bool { false }
}

extension KernelNotifier {
    public func invalidateInodeOfRequest(_ inode: InodeID, range: Range<UInt64>) {
        invalidateInode(inode, range: range)
    }
    public func extend(_ inode: InodeID, to end: UInt64, lastByte: UInt8) {}
    public func invalidateAllEntries() -> Bool { false }
    public var canInvalidateAllEntries: Bool { false }
    public func expireAttributes(_ inode: InodeID) { invalidateInode(inode, range: nil) }
    public func waits(for inode: InodeID) -> Bool { false }
    public func hasRoom(for inode: InodeID) -> Bool { true }
    public func afterInvalidations(of inode: InodeID, _ body: @escaping @Sendable () -> Void) {
        body()
    }
}
