public import FileSystem
import Logging
public import Primitives
import VolumeStore

// Advisory locks, which exclude programs of every mount. A mount that has no session cannot take part:
// there the kernel keeps locks for itself.
extension VolumeFileSystem {
    public var servesLocks: Bool { !options.isReadOnly && !store.isReadOnly }

    public func lockHolder(
        _ caller: Caller, inode: InodeID, handle: HandleID, against lock: FileLock
    ) throws(Errno) -> FileLock? {
        try store.lockHolder(of: inode, against: lock)
    }

    public func setLock(
        _ caller: Caller, inode: InodeID, handle: HandleID, lock: FileLock, waits: Bool,
        onAnswer: @escaping @Sendable (Errno?) -> Void
    ) throws(Errno) -> LockStart {
        let file = try files.item(handle)
        if lock.family == .record {
            file.lockOwners.withLock { _ = $0.insert(lock.owner) }
        }
        let state = file.state
        let result = try store.setLock(of: inode, lock, waits: waits) { [weak self] errno in
            guard errno == nil, let self else { return onAnswer(errno) }
            // Given by another mount, whose changes have been heard before.
            settleLock(on: state, at: nil) { onAnswer(nil) }
        }
        guard result.start == .taken, let change = result.change else { return result.start }
        settleLock(on: state, at: change) { onAnswer(nil) }
        return .later(Self.notInLine)
    }

    /// A lock that is taken, and answered when the kernel has dropped what is out of date.
    private static let notInLine = LockTicket(0)

    public func cancelLock(_ ticket: LockTicket) { store.cancelLock(ticket) }

    public func unlock(
        _ caller: Caller, inode: InodeID, handle: HandleID, family: LockFamily, owner: UInt64,
        range: ClosedRange<UInt64>
    ) throws(Errno) {
        storeBeforeUnlock(try files.item(handle).state)
        try store.unlock(inode, family: family, owner: owner, range: range)
    }

    /// Whoever locks next sees what was written under the lock. While this mount is alone, that is stored
    /// before anybody else can lock. A failure is reported by fsync and close, as any.
    private func storeBeforeUnlock(_ state: InodeState) {
        if !store.isAlone { flushInBackground(state.id) }
    }

    /// A process closed a descriptor: its record locks on the file go, whichever descriptor took them.
    func releaseRecordLocks(of owner: UInt64, _ file: OpenFile) {
        file.lockOwners.withLock { _ = $0.remove(owner) }
        release(file.state.id, .record, owner)
    }

    /// The handle is gone, and with it the locks that belonged to the open file itself.
    func releaseLocks(of handle: HandleID, flockOwner: UInt64?) {
        do throws(Errno) {
            let file = try files.item(handle)
            if file.state.withFacts({ $0.isDirty }) { storeBeforeUnlock(file.state) }
            for owner in file.lockOwners.withLock({ $0 }) { release(file.state.id, .record, owner) }
            if let flockOwner { release(file.state.id, .wholeFile, flockOwner) }
        } catch {
            // No such handle, so no locks.
        }
    }

    private func release(_ inode: InodeID, _ family: LockFamily, _ owner: UInt64) {
        do throws(Errno) {
            try store.unlock(inode, family: family, owner: owner, range: FileLock.wholeRange)
        } catch {
            logger.warning(
                "a lock is not released until this session ends",
                metadata: ["inode": "\(inode)", "error": "\(error)"])
        }
    }
}
