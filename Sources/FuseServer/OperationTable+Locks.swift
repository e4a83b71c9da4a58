import CFuse
import CLinux
import FileSystem
import Glibc
import Primitives

// Advisory locks. They are only asked for when the INIT exchange said so (`CapabilityWish`).
extension OperationTable {
    static func addLocks(to table: inout fuse_lowlevel_ops) {
        table.getlk = { request, inode, file, lock in
            handle(request) { server, request throws(Errno) in
                guard let file, let lock else { throw .invalid }
                try server.getLock(request, InodeID(inode), file.pointee, lock.pointee)
            }
        }
        table.setlk = { request, inode, file, lock, waits in
            handle(request) { server, request throws(Errno) in
                guard let file, let lock else { throw .invalid }
                try server.setLock(
                    request, InodeID(inode), file.pointee, lock.pointee, waits: waits != 0)
            }
        }
        table.flock = { request, inode, file, operation in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.setFlock(request, InodeID(inode), file.pointee, operation)
            }
        }
    }
}

extension FuseServer {
    func getLock(
        _ request: Request, _ inode: InodeID, _ file: fuse_file_info, _ lock: flock
    ) throws(Errno) {
        let wanted = try FileLock(lock, owner: file.lock_owner)
        let holder = try fileSystem.lockHolder(
            request.caller, inode: inode, handle: HandleID(file.fh), against: wanted)
        var answer = fuse_lk_out()
        answer.lk.type = UInt32(F_UNLCK)
        if let holder {
            answer.lk.type = UInt32(holder.mode == .exclusive ? F_WRLCK : F_RDLCK)
            answer.lk.start = holder.range.lowerBound
            answer.lk.end = holder.range.upperBound
            answer.lk.pid = UInt32(bitPattern: holder.processID)
        }
        request.reply(answer)
    }

    func setLock(
        _ request: Request, _ inode: InodeID, _ file: fuse_file_info, _ lock: flock, waits: Bool
    ) throws(Errno) {
        guard Int32(lock.l_type) == F_UNLCK else {
            let wanted = try FileLock(lock, owner: file.lock_owner)
            return take(wanted, request, inode, HandleID(file.fh), waits: waits)
        }
        try fileSystem.unlock(
            request.caller, inode: inode, handle: HandleID(file.fh), family: .record,
            owner: file.lock_owner, range: try FileLock.range(of: lock))
        request.succeed()
    }

    func setFlock(
        _ request: Request, _ inode: InodeID, _ file: fuse_file_info, _ operation: Int32
    ) throws(Errno) {
        let kind = operation & ~LOCK_NB
        guard kind == LOCK_SH || kind == LOCK_EX else {
            try fileSystem.unlock(
                request.caller, inode: inode, handle: HandleID(file.fh), family: .wholeFile,
                owner: file.lock_owner, range: FileLock.wholeRange)
            request.succeed()
            return
        }
        let wanted = FileLock(
            family: .wholeFile, owner: file.lock_owner,
            mode: kind == LOCK_EX ? .exclusive : .shared,
            range: FileLock.wholeRange, processID: request.caller.processID)
        take(wanted, request, inode, HandleID(file.fh), waits: operation & LOCK_NB == 0)
    }

    /// Answers now or later.
    private func take(
        _ lock: FileLock, _ request: Request, _ inode: InodeID, _ handle: HandleID, waits: Bool
    ) {
        let caller = request.caller
        let deferred = request.deferAnswer()
        let number = pendingLocks.add(deferred)
        // Before the request can be answered, since it is gone then. What a number means is looked up.
        if waits {
            fuse_req_interrupt_func(
                deferred.pointer,
                { request, data in
                    guard let request, let server = fuse_req_userdata(request) else { return }
                    // SAFETY: the session's userdata is the server, which outlives its session.
                    Unmanaged<FuseServer>.fromOpaque(server)._withUnsafeGuaranteedRef {
                        $0.lockWasInterrupted(UInt(bitPattern: data))
                    }
                }, UnsafeMutableRawPointer(bitPattern: number))
        }
        let result: Result<LockStart, Errno>
        do throws(Errno) {
            result = .success(
                try fileSystem.setLock(
                    caller, inode: inode, handle: handle, lock: lock, waits: waits
                ) { [self] errno in
                    pendingLocks.act(number, cancel: fileSystem.cancelLock) { $0.answered(errno) }
                })
        } catch {
            result = .failure(error)
        }
        pendingLocks.act(number, cancel: fileSystem.cancelLock) { $0.returned(result) }
    }

    private func lockWasInterrupted(_ number: UInt) {
        pendingLocks.act(number, cancel: fileSystem.cancelLock) { $0.interrupted() }
    }
}

extension FileLock {
    /// A record lock as libfuse decodes it: `l_start` from the start of the file.
    fileprivate init(_ lock: flock, owner: UInt64) throws(Errno) {
        let mode: LockMode
        switch Int32(lock.l_type) {
        case F_RDLCK: mode = .shared
        case F_WRLCK: mode = .exclusive
        default: throw .invalid
        }
        self.init(
            family: .record, owner: owner, mode: mode, range: try Self.range(of: lock),
            processID: lock.l_pid)
    }

    /// libfuse writes 0 as the length of what reaches to the end.
    fileprivate static func range(of lock: flock) throws(Errno) -> ClosedRange<UInt64> {
        guard lock.l_start >= 0, lock.l_len >= 0 else { throw .invalid }
        let first = UInt64(lock.l_start)
        guard lock.l_len > 0 else { return first...lastByte }
        let (last, overflows) = first.addingReportingOverflow(UInt64(lock.l_len) - 1)
        guard !overflows, last <= lastByte else { throw .invalid }
        return first...last
    }
}
