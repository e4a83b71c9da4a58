import FileSystem
import Primitives
import VolumeStore

/// What this mount knows of one inode: the stored record, and what is newer here than in the store.
final class InodeState: Sendable {
    let id: InodeID
    private let facts: Locked<Facts>

    /// The part that changes.
    struct Facts {
        /// The record as the store would have it if everything pending were stored.
        var record: InodeRecord
        /// Nothing has said since the last fetch that the record is out of date.
        var isFresh: Bool
        /// Moves with each record that is taken over from the store.
        var fetches: UInt64 = 0
        /// Moves with each change that this mount has made to the record in the store: what was asked for
        /// before may be older than what is known here.
        var commits: UInt64 = 0
        /// Size, times or permissions that a flush has still to commit.
        var pending = PendingAttributes()
        /// Blocks may be dirty or attributes pending.
        var isDirty = false
        /// Upper bound (exclusive) of the blocks of `record.data` that others may have stored: nothing for a
        /// file that was made or emptied here, else what the record said when it was fetched.
        var storedBound: UInt64
        /// Upper bound (exclusive) of the blocks of `record.data` that were ever written here. Changes under
        /// the exclusive inode stripe only, so that a writer can tell a block that nobody wrote from one
        /// that a flush is storing at this moment.
        var writtenBlocks: UInt64 = 0
        /// The file was cut here, and blocks behind its end may have been loaded before the store dropped
        /// them. Stays until the file grows, also when the record says by then that its tail is clear.
        var mayHoldCutBlocks = false
        /// Another mount has made the file longer than this size: from there on what is cached is zeros, or
        /// shows what was cut off here.
        var oldEnd = OldEnd.Notes()
        /// The kernel may hold the page in which the file ends. False only after it was dropped and until it
        /// is read again, or written by way of pages.
        var kernelMayHoldEnd = true
        /// Another mount gave the file its size, of which the kernel has not heard; it drops all pages then.
        var sizeIsNews = false
        /// What was preallocated here and is not written yet; `nil` for nearly every file.
        var preallocation: Preallocation?
        /// Moves as a write begins and as it ends, so that a flush knows whether it has stored the last one.
        var writeSequence: UInt64 = 0
        var openCount = 0
        /// Made in a directory that nobody may enter, as overlayfs's work directory, and not renamed since.
        /// Being given its size and owner there takes neither setuid nor capabilities from it.
        var isBeingCopied = false
        /// The last name is gone; this session keeps the inode until the last close.
        var isOrphan = false
        /// The record is gone from the store.
        var isRemoved = false
        /// The pages that the kernel caches are still right.
        var kernelPagesAreValid = false
        /// What the kernel dropped of its pages and read again; `nil` while it drops none beside a writer.
        var pageDoubt: PageDoubt?
        /// The attributes that the kernel caches may be older than what is known here.
        var kernelAttributesAreStale = false
        /// The change of the volume of which what is cached of the inode was known to be true.
        var provedChange: UInt64?
        /// The store named it in a lookup since its last open: who opens it now found it in time.
        var wasJustFound = false
        /// How often data that was written here, or locks, were lost: the session was gone.
        var losses: UInt64 = 0
        /// Moves when an entry of this directory changes.
        var entryVersion: UInt64 = 0
        /// The last complete listing of this directory.
        var listing: KeptListing?
        /// Every name of this directory, when that is known.
        var names: DirectoryNames?
        /// Capabilities and access lists, when they have been asked for.
        var systemAttributes: SystemAttributes?
    }

    init(record: InodeRecord, isFresh: Bool) {
        id = record.id
        facts = Locked(
            Facts(record: record, isFresh: isFresh, storedBound: record.allocatedBlocks))
    }

    /// Runs `body` with the facts. It is a short leaf: no store, no cache, no other lock.
    func withFacts<Result>(_ body: (inout Facts) -> Result) -> Result {
        facts.withLock(body)
    }

    /// The same for the facts that follow from a change that the store has taken from this mount. The
    /// inode's generation has moved before.
    func withCommitted<Result>(_ body: (inout Facts) -> Result) -> Result {
        facts.withLock { facts in
            facts.commits &+= 1
            return body(&facts)
        }
    }

    var record: InodeRecord { withFacts { $0.record } }
}

/// Attributes that writes and reads have changed here and no flush has committed yet.
struct PendingAttributes: Equatable {
    /// The size that writes have raised the file to.
    var size: UInt64?
    var modificationTime: Timestamp?
    var changeTime: Timestamp?
    var accessTime: Timestamp?
    /// After a write cleared setuid and setgid.
    var permissions: UInt32?

    var isEmpty: Bool { self == PendingAttributes() }
}

extension InodeState.Facts {
    /// Takes over what was fetched, unless it may be older than what this mount has stored since it was
    /// asked for, when `commits` were counted. Returns whether it did.
    mutating func absorb(_ fetched: InodeRecord, askedAt commits: UInt64) -> Bool {
        guard commits == self.commits else {
            isFresh = false
            // Of blocks that others may have stored it says enough.
            if fetched.data == record.data {
                storedBound = max(storedBound, fetched.allocatedBlocks)
            }
            return false
        }
        absorb(fetched)
        return true
    }

    /// What was fetched, with what is newer here.
    private func merged(_ fetched: InodeRecord) -> InodeRecord {
        var merged = fetched
        if let size = pending.size { merged.size = max(merged.size, size) }
        if let time = pending.modificationTime {
            merged.modificationTime = max(merged.modificationTime, time)
        }
        if let time = pending.changeTime { merged.changeTime = max(merged.changeTime, time) }
        if let time = pending.accessTime { merged.accessTime = max(merged.accessTime, time) }
        if let permissions = pending.permissions { merged.permissions = permissions }
        return merged
    }

    /// Whether what was fetched says nothing new.
    func holds(_ fetched: InodeRecord) -> Bool { merged(fetched) == record }

    /// Takes over what was fetched, keeping what is newer here.
    mutating func absorb(_ fetched: InodeRecord) {
        let merged = merged(fetched)
        let isSameData =
            merged.data == record.data && merged.size == record.size
            && merged.modificationTime == record.modificationTime
        if !isSameData { kernelPagesAreValid = false }
        if merged != record { kernelAttributesAreStale = true }
        if merged.data != record.data {
            writtenBlocks = 0
            preallocation = nil
        }
        if merged.data == record.data, merged.size > record.size { oldEnd.note(record.size) }
        if merged.size != record.size { sizeIsNews = true }
        storedBound = fetched.allocatedBlocks
        if merged.hasXattrs && !record.hasXattrs { systemAttributes = nil }
        record = merged
        fetches &+= 1
        isFresh = true
        isRemoved = false
    }

    /// The kernel is about to drop pages; `noteDropTold` follows when it has been told, or that is queued.
    /// `isByKernel`: by itself, when it has the answer that is about to be given.
    mutating func noteDrop(_ range: Range<UInt64>, isByKernel: Bool = false) {
        guard openCount > 0 else { return }
        var doubt = pageDoubt ?? PageDoubt()
        if isByKernel {
            doubt.noteDropByKernel(range)
        } else {
            doubt.noteDrop(range)
        }
        pageDoubt = doubt
    }

    mutating func noteDropTold() { pageDoubt?.noteTold() }

    /// The attributes are about to be told to the kernel.
    mutating func noteTelling() {
        guard sizeIsNews else { return }
        sizeIsNews = false
        kernelMayHoldEnd = true
        noteDrop(0..<UInt64(Int64.max), isByKernel: true)
    }

    /// The kernel holds the pages up to `end` from now on.
    mutating func noteKernelPages(to end: UInt64) {
        if end > record.size & ~4_095 { kernelMayHoldEnd = true }
    }

    /// Nothing would be lost if the state were forgotten.
    var isIdle: Bool { openCount == 0 && !isDirty && !isOrphan && pending.isEmpty }

    /// Notes a write that begins and reaches to `end` bytes. `noteWritten` follows when it is over. `isDirect`:
    /// it does not pass through the kernel's pages.
    mutating func noteWrite(
        end: UInt64, at time: Timestamp, clearing: PrivilegeClearing, isDirect: Bool = false
    ) {
        writeSequence &+= 1
        isDirty = true
        if !isDirect { noteKernelPages(to: end) }
        if end > record.size {
            record.size = end
            pending.size = end
        }
        noteChange(at: time)
        clearPrivileges(clearing)
    }

    /// The blocks of a write are in the cache, or as many as got there. A flush that ran meanwhile has
    /// stored what it met, and may have found nothing left to do: only from here on is a flush sure to
    /// meet all.
    mutating func noteWritten() {
        writeSequence &+= 1
        isDirty = true
    }

    /// A flush that began at `sequence` is over: unless a write has begun or ended since, all is stored.
    mutating func noteFlushed(from sequence: UInt64) {
        if writeSequence == sequence, pending.isEmpty { isDirty = false }
    }

    /// The contents changed at `time`.
    mutating func noteChange(at time: Timestamp) {
        record.modificationTime = time
        record.changeTime = time
        pending.modificationTime = time
        pending.changeTime = time
    }

    /// Something but the contents changed at `time`, which a flush will say.
    mutating func noteStatusChange(at time: Timestamp) {
        isDirty = true
        record.changeTime = time
        pending.changeTime = time
    }

    /// What a write does to setuid and setgid.
    mutating func clearPrivileges(_ clearing: PrivilegeClearing) {
        guard let kept = clearing.newPermissions(of: record) else { return }
        record.permissions = kept
        pending.permissions = kept
    }

    /// A batch carried `committed` to the store: what is pending now and was already in it, is not
    /// pending any more.
    mutating func settle(_ committed: PendingAttributes) {
        if pending.size == committed.size { pending.size = nil }
        if pending.modificationTime == committed.modificationTime { pending.modificationTime = nil }
        if pending.changeTime == committed.changeTime { pending.changeTime = nil }
        if pending.accessTime == committed.accessTime { pending.accessTime = nil }
        if pending.permissions == committed.permissions { pending.permissions = nil }
    }
}

extension InodeRecord {
    /// What stat(2) shows. `dirtyBlocks` are counted as if they were new ones: exact for a file without
    /// holes, and for any file once it is flushed.
    func attributes(
        blockSize: BlockSize, dirtyBlocks: Int, preallocation: Preallocation?
    ) -> Attributes {
        let blocks = storedBlocks + UInt64(dirtyBlocks) + (preallocation?.count ?? 0)
        let product = blocks.multipliedReportingOverflow(by: UInt64(blockSize.bytes))
        let storedBytes = product.overflow ? .max : product.partialValue
        let end = max(size, preallocation?.end ?? 0)
        let roundedSize = end > UInt64(Int64.max) - 4_096 ? end : (end + 4_095) & ~4_095
        let shownSize: UInt64 =
            switch kind {
            case .symbolicLink: UInt64(target.count)
            case .directory: 4_096
            case .regular, .fifo, .socket, .characterDevice, .blockDevice: size
            }
        let sectors: UInt64 =
            switch kind {
            case .regular: min(storedBytes, roundedSize) / 512
            case .directory: 8
            case .symbolicLink, .fifo, .socket, .characterDevice, .blockDevice: 0
            }
        return Attributes(
            inode: id, kind: kind, permissions: permissions, linkCount: linkCount,
            userID: userID, groupID: groupID, device: device, size: shownSize,
            storedSectors: sectors, preferredIOBytes: UInt32(blockSize.bytes),
            accessTime: accessTime, modificationTime: modificationTime, changeTime: changeTime)
    }
}
