import Cache
public import FileSystem
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    public func open(
        _ caller: Caller, inode: InodeID, options: OpenOptions
    ) throws(Errno) -> OpenAnswer {
        if options.contains(.write) || options.contains(.truncate) { try requireWritable() }
        let state = try stateForOpening(inode, by: caller)
        switch state.record.kind {
        case .regular: break
        case .directory: throw .isDirectory
        case .symbolicLink, .fifo, .socket, .characterDevice, .blockDevice: throw .invalid
        }
        let answer = opened(state, options: options)
        guard options.contains(.truncate) else { return answer }
        do throws(Errno) {
            let clearing = privilegeClearing(
                by: caller, of: state, if: options.contains(.clearsPrivileges))
            try telling(ofPrivilegesOf: state, clearing) { () throws(Errno) in
                try resize(state, to: 0, clearing: clearing)
            }
        } catch {
            close(answer.handle)
            throw error
        }
        return answer
    }

    /// Close-to-open: what another mount's close has stored is seen by an open that follows. Alone, what
    /// is known here is the truth; otherwise the store is asked.
    private func stateForOpening(
        _ inode: InodeID, by caller: Caller
    ) throws(Errno) -> InodeState {
        let state = try state(of: inode)
        if store.isAlone {
            try refresh(state)
        } else {
            try prove(state, openedBy: caller.processID)
        }
        return state
    }

    /// Counts one open and makes its handle.
    func opened(_ state: InodeState, options: OpenOptions) -> OpenAnswer {
        let isAlone = store.isAlone
        // Whether it is read is seen when the kernel has to ask for the pages. But what a write under way was
        // copied into stays, and the open counts as the access.
        let (keepsCache, isAccess) = state.withFacts { facts in
            facts.openCount += 1
            // From now on the kernel caches pages; whatever makes them wrong clears this.
            defer { facts.kernelPagesAreValid = true }
            let awaitsAccess = options.contains(.read) && awaitsAccess(facts.record)
            let isWritten = facts.pending.modificationTime != nil
            let keepsCache = facts.kernelPagesAreValid && (!awaitsAccess || isWritten)
            // Other programs may be writing when the kernel drops all pages.
            if !keepsCache, facts.openCount > 1 {
                facts.noteDrop(0..<UInt64(Int64.max), isByKernel: true)
            }
            return (keepsCache, keepsCache && awaitsAccess)
        }
        if isAccess { noteAccess(state) }
        // See VolumeFileSystem+Append.swift.
        let isDirect = options.contains(.append) && !isAlone
        let handle = files.insert(
            OpenFile(state: state, options: options, isDirect: isDirect), hint: state.id)
        var answer = OpenAnswer(handle: handle)
        answer.direct = isDirect
        answer.keepsCache = keepsCache
        // A close gives up the record locks of its process, whatever the file is open for (fcntl(2)).
        answer.skipsFlush = !options.contains(.write) && !servesLocks
        return answer
    }

    public func flush(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64
    ) throws(Errno) {
        let file = try files.item(handle)
        // The data first: whoever is given the lock then sees it.
        defer { releaseRecordLocks(of: lockOwner, file) }
        try flush(file.state)
        try reportLosses(of: file)
    }

    public func fsync(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {
        let file = try files.item(handle)
        try flush(file.state)
        try reportLosses(of: file)
    }

    /// Metadata changes are in the store when their call returns.
    public func fsyncdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {}

    public func release(
        _ caller: Caller, inode: InodeID, handle: HandleID, lockOwner: UInt64, flush: Bool,
        releaseFlock: Bool
    ) {
        releaseLocks(of: handle, flockOwner: releaseFlock ? lockOwner : nil)
        close(handle)
    }

    /// Counts one open less. With the last one an inode without a name goes.
    private func close(_ handle: HandleID) {
        guard let file = files.remove(handle) else { return }
        let state = file.state
        let orphan: InodeRecord? = state.withFacts { facts in
            facts.openCount -= 1
            if facts.openCount == 0 { facts.pageDoubt = nil }
            guard facts.openCount == 0, facts.isOrphan || facts.isRemoved else { return nil }
            defer {
                facts.isOrphan = false
                facts.isRemoved = true
                facts.isDirty = false
                facts.pending = PendingAttributes()
            }
            return facts.isOrphan ? facts.record : nil
        }
        guard let orphan else { return inodes.removeUnreferenced(state.id) }
        // A flush in flight ends before the inode goes; none starts, since nothing is dirty any more.
        flushStripes.withExclusive(state.id) {
            cache.discard(
                orphan.data, owner: state.id, blockCount: orphan.allocatedBlocks)
            store.removeOrphan(state.id)
        }
        inodes.remove(state.id)
    }
}
