import CFuse
import CLinux
import FileSystem
import Glibc
import Primitives

// The handlers that do more than decode, call and answer: those whose answer hands something out (a kernel
// reference, a handle) that must be given back when the kernel did not take it.

extension FuseServer {
    // MARK: Names

    func lookup(_ request: Request, _ parent: InodeID, _ name: FileName) throws(Errno) {
        let answer: EntryAnswer
        do throws(Errno) {
            answer = try fileSystem.lookup(request.caller, parent: parent, name: name)
        } catch .noEntry {
            let timeout = fileSystem.negativeEntryTimeoutSeconds
            guard timeout > 0 else { throw .noEntry }
            request.reply(fuse_entry_out(absentForSeconds: timeout))
            return
        }
        reply(answer, to: request)
    }

    /// Answers with an entry, or gives its kernel reference back.
    func reply(_ answer: EntryAnswer, to request: Request) {
        if !request.reply(fuse_entry_out(answer)) {
            fileSystem.forget(answer.attributes.inode, count: 1)
        }
    }

    func readlink(_ request: Request, _ inode: InodeID) throws(Errno) {
        let target = try fileSystem.readlink(request.caller, inode: inode)
        guard target.count <= Limits.targetBytes else { throw .ioError }
        target.withUnsafeBytes { _ = request.reply(bytes: $0) }
    }

    // MARK: Open files

    func open(_ request: Request, _ inode: InodeID, flags: Int32) throws(Errno) {
        let caller = request.caller
        let answer = try fileSystem.open(
            caller, inode: inode,
            options: OpenOptions(flags: flags, clearsPrivileges: request.clearsPrivileges))
        let out = fuse_open_out(answer)
        guard notifier.waits(for: inode) else {
            if !request.reply(out) { release(caller, inode, answer.handle) }
            return
        }
        // While the kernel is told that attributes are out of date, it throws away those that it is given
        // (fuse_change_attributes), so a read behind this open would go by the old size.
        let deferred = request.deferAnswer()
        notifier.afterInvalidations(of: inode) { [self] in
            if !deferred.reply(out) { release(caller, inode, answer.handle) }
        }
    }

    func create(
        _ request: Request, _ parent: InodeID, _ name: FileName, mode: UInt32, flags: Int32
    ) throws(Errno) {
        let caller = request.caller
        let (entry, opened) = try fileSystem.create(
            caller, parent: parent, name: name, mode: mode,
            options: OpenOptions(flags: flags, clearsPrivileges: request.clearsPrivileges))
        let answer = CreateAnswer(entry: fuse_entry_out(entry), opened: fuse_open_out(opened))
        if !request.reply(answer) {
            release(caller, entry.attributes.inode, opened.handle)
            fileSystem.forget(entry.attributes.inode, count: 1)
        }
    }

    /// The kernel never learned of the handle, so it will not release it.
    private func release(_ caller: Caller, _ inode: InodeID, _ handle: HandleID) {
        fileSystem.release(
            caller, inode: inode, handle: handle, lockOwner: 0, flush: false, releaseFlock: false)
    }

    func read(
        _ request: Request, _ inode: InodeID, _ handle: HandleID, offset: FileOffset, count: Int
    ) throws(Errno) {
        var isAnswered = false
        do throws(Errno) {
            try fileSystem.read(
                request.caller, inode: inode, handle: handle, offset: offset, count: count
            ) { pieces in
                precondition(!isAnswered, "a filesystem handed out the bytes of one read twice")
                isAnswered = true
                if options.splice, Request.fitsPipe(pieces) {
                    request.replySpliced(pieces: pieces)
                } else {
                    request.reply(pieces: pieces)
                }
            }
        } catch {
            precondition(!isAnswered, "a filesystem's read failed after it handed out bytes")
            throw error
        }
        precondition(isAnswered, "a filesystem's read ended without bytes and without an error")
    }

    func write(
        _ request: Request, _ inode: InodeID, _ handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, file: fuse_file_info
    ) throws(Errno) {
        let fromPageCache = file.writepage == 1
        var options: WriteOptions = []
        // Of the descriptor now, so that fcntl(2) can set and clear it. What comes from the page cache
        // has its place already.
        if file.flags & O_APPEND != 0, !fromPageCache { options.insert(.append) }
        if fromPageCache { options.insert(.fromPageCache) }
        if request.clearsPrivileges { options.insert(.clearsPrivileges) }
        let written = try fileSystem.write(
            request.caller, inode: inode, handle: handle, offset: offset, payload: payload,
            options: options)
        var answer = fuse_write_out()
        answer.size = UInt32(clamping: written)
        request.reply(answer)
    }

    // MARK: Directories

    func opendir(_ request: Request, _ inode: InodeID) throws(Errno) {
        let caller = request.caller
        let answer = try fileSystem.opendir(caller, inode: inode)
        if !request.reply(fuse_open_out(answer)) {
            fileSystem.releasedir(caller, inode: inode, handle: answer.handle)
        }
    }

    /// The most that one READDIR is answered with, whatever the kernel has room for.
    private static let listingBytes = 1 << 20

    /// An error behind the first entries is not reported now: the kernel asks again from there.
    func readdir(
        _ request: Request, _ inode: InodeID, _ handle: HandleID, cookie: UInt64, room: Int,
        withAttributes: Bool
    ) throws(Errno) {
        let memory = request.worker.pointee.scratch(atLeast: min(room, Self.listingBytes))
        var listing = DirectoryListing(memory, withAttributes: withAttributes)
        // References of entries that no directory can hold. Given back afterwards: the filesystem may hold
        // a lock while it calls the sink. Empty, and then without memory, unless its records are damaged.
        var undelivered: [InodeID] = []
        defer { for inode in undelivered { fileSystem.forget(inode, count: 1) } }
        do throws(Errno) {
            try fileSystem.readdir(
                request.caller, inode: inode, handle: handle, cookie: cookie,
                withAttributes: withAttributes
            ) { entry in
                switch listing.append(entry) {
                case .taken: return .taken
                case .full: return .full
                case .unusable:
                    if let inode = listing.reference(of: entry) { undelivered.append(inode) }
                    return .taken
                }
            }
        } catch {
            guard listing.byteCount > 0 else { throw error }
        }
        if !request.reply(bytes: listing.bytes) {
            listing.forEachReference { fileSystem.forget($0, count: 1) }
        }
    }

    // MARK: Extended attributes

    /// The value or its length, as the caller asked.
    func reply(_ value: [UInt8], room: Int, to request: Request) throws(Errno) {
        if try Limits.asksForLength(count: value.count, room: room) {
            var answer = fuse_getxattr_out()
            answer.size = UInt32(value.count)
            request.reply(answer)
        } else {
            value.withUnsafeBytes { _ = request.reply(bytes: $0) }
        }
    }
}

extension OpenOptions {
    /// From the flags of open(2).
    init(flags: Int32, clearsPrivileges: Bool) {
        self =
            switch flags & O_ACCMODE {
            case O_RDONLY: .read
            case O_WRONLY: .write
            default: [.read, .write]
            }
        if flags & O_APPEND != 0 { insert(.append) }
        if flags & O_TRUNC != 0 { insert(.truncate) }
        if flags & O_EXCL != 0 { insert(.exclusive) }
        if flags & apusfs_o_direct() != 0 { insert(.direct) }
        // O_SYNC contains the bit of O_DSYNC.
        if flags & O_DSYNC != 0 { insert(.synchronous) }
        if clearsPrivileges { insert(.clearsPrivileges) }
    }
}

extension AttributeChanges {
    /// From a SETATTR request: `chosen` says which fields of `attributes` count (fuse_lowlevel.h,
    /// FUSE_SET_ATTR_*).
    init(_ attributes: stat, chosen: Int32, clearsPrivileges: Bool) {
        self.init()
        let has = { (flag: Int32) in chosen & flag != 0 }
        if has(FUSE_SET_ATTR_MODE) { permissions = attributes.st_mode & 0o7777 }
        if has(FUSE_SET_ATTR_UID) { userID = attributes.st_uid }
        if has(FUSE_SET_ATTR_GID) { groupID = attributes.st_gid }
        if has(FUSE_SET_ATTR_SIZE) { size = UInt64(bitPattern: Int64(attributes.st_size)) }
        accessTime = Self.time(
            attributes.st_atim, isSet: has(FUSE_SET_ATTR_ATIME),
            isNow: has(FUSE_SET_ATTR_ATIME_NOW))
        modificationTime = Self.time(
            attributes.st_mtim, isSet: has(FUSE_SET_ATTR_MTIME),
            isNow: has(FUSE_SET_ATTR_MTIME_NOW))
        if has(FUSE_SET_ATTR_CTIME) { changeTime = Timestamp(attributes.st_ctim) }
        self.clearsPrivileges = clearsPrivileges
    }

    private static func time(_ time: timespec, isSet: Bool, isNow: Bool) -> TimeChange? {
        if isNow { return .now }
        return isSet ? .to(Timestamp(time)) : nil
    }
}

extension Timestamp {
    fileprivate init(_ time: timespec) {
        self.init(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
    }
}
