import Cache
import FileSystem
import Logging
import Primitives
import Telemetry
import VolumeStore

// What other mounts changed. Called from a thread of the store's own, never from a request: the kernel
// is told with no lock held.
extension VolumeFileSystem {
    func apply(_ change: RemoteChange) {
        switch change {
        case .attributes(let inode):
            expire(inode)
            tellKernel { $0.invalidateInode(inode, range: nil) }
        case .entry(let parent, let name):
            expireEntry(parent: parent, name: name)
            tellKernel { $0.invalidateEntry(parent: parent, name: name) }
        case .data(let inode, let data, let blocks):
            expire(inode)
            expireData(inode, data, blocks)
        case .removed(let inode):
            expire(inode)
            keepIfOpen(inode)
            tellKernel { $0.invalidateInode(inode, range: nil) }
        case .everything:
            expireEverything()
        case .sessions, .lockGranted:
            break
        }
    }

    func tellKernel(_ body: (any KernelNotifier) -> Void) {
        if let notifier = notifier.withLock({ $0 }) { body(notifier) }
    }

    private func expire(_ inode: InodeID) {
        generations.bump(inode)
        inodes.state(of: inode)?.withFacts { facts in
            facts.isFresh = false
            facts.systemAttributes = nil
            facts.kernelAttributesAreStale = true
        }
    }

    private func expireEntry(parent: InodeID, name: [UInt8]) {
        generations.bump(parent)
        heardNames.bump(parent)
        entries.remove(parent: parent, name: name)
        inodes.state(of: parent)?.withFacts { facts in
            facts.isFresh = false
            facts.names = nil
            facts.listing = nil
            facts.entryVersion &+= 1
        }
    }

    func expireData(_ inode: InodeID, _ data: DataID, _ blocks: Range<UInt64>) {
        inodes.state(of: inode)?.withFacts { facts in
            facts.kernelPagesAreValid = false
            facts.preallocation?.remove(blocks)
        }
        cache.invalidate(data, blocks: blocks)
        let size = UInt64(blockSize.bytes)
        let start = blocks.lowerBound.multipliedReportingOverflow(by: size)
        let end = blocks.upperBound.multipliedReportingOverflow(by: size)
        let range =
            (start.overflow ? .max : start.partialValue)..<(end.overflow ? .max : end.partialValue)
        dropPages(of: inode, range)
    }

    /// Has the kernel drop pages of a file.
    func dropPages(of inode: InodeID, _ range: Range<UInt64>) {
        let state = inodes.state(of: inode)
        state?.withFacts { $0.noteDrop(range) }
        tellKernel { $0.invalidateInode(inode, range: range) }
        state?.withFacts { $0.noteDropTold() }
    }

    /// How long an answer waits for the kernel to drop pages. It may have to drop one that the request holds,
    /// which it can do when that is answered.
    private static let dropMilliseconds = 20

    /// Behind an invalidation: waits until the kernel has acted upon it.
    private func awaitDrop(of inode: InodeID, _ notifier: any KernelNotifier) {
        let isDropped = Monitor(false)
        notifier.afterInvalidations(of: inode) { isDropped.change { $0 = true } }
        let _: Void? = isDropped.wait(until: .after(milliseconds: Self.dropMilliseconds)) {
            $0 ? () : nil
        }
    }

    /// Behind a write: has the kernel drop what it has read meanwhile of the same pages (`PageDoubt`).
    func dropOlderPages(of state: InodeState, behind written: Range<UInt64>) {
        guard let doubt = state.withFacts({ $0.pageDoubt }),
            let notifier = notifier.withLock({ $0 })
        else { return }
        // Nothing is on its way to the kernel, and nothing was announced since.
        let isIdle = doubt.isIdle && !notifier.waits(for: state.id)
        let older = state.withFacts { facts in
            let older = facts.pageDoubt?.take(written)
            if isIdle, facts.pageDoubt?.announced == doubt.announced { facts.pageDoubt = nil }
            return older
        }
        guard let older, notifier.hasRoom(for: state.id) else { return }
        notifier.invalidateInode(state.id, range: older)
        awaitDrop(of: state.id, notifier)
    }

    /// Another mount has made the file longer. What was loaded of it before shows nothing behind
    /// that, or what this mount cut off there. Done before anything is answered from the longer file; the
    /// word of the change may come later.
    func dropOldEnd(of state: InodeState, from end: OldEnd) {
        let first = blockSize.block(containing: FileOffset(end.size)).rawValue
        let record = state.record
        let last = max(record.allocatedBlocks, blockSize.blockCount(forSize: record.size))
        cache.invalidate(record.data, blocks: first..<max(first + 1, last))
        state.withFacts { $0.oldEnd.settle(end) }
    }

    /// Behind an append: has the kernel drop the page in which the file ended, which it may have read before,
    /// and, when it believed the end to be elsewhere, tells it how far the file reaches now.
    func tellOfAppend(_ file: OpenFile, _ append: Append) {
        guard append.mayBeHeld || append.start != append.believedEnd,
            let notifier = notifier.withLock({ $0 })
        else { return }
        let inode = file.state.id
        let first = min(append.start, append.believedEnd, append.oldEnd)
        let range = first & ~(PageDoubt.pageBytes - 1)..<UInt64(Int64.max)
        file.state.withFacts { $0.noteDrop(range) }
        notifier.invalidateInodeOfRequest(inode, range: range)
        file.state.withFacts { $0.noteDropTold() }
        if append.start > append.believedEnd, let byte = append.lastByte {
            notifier.extend(inode, to: append.end, lastByte: byte)
            // A page that begins with that byte is complete by it.
            if append.end % PageDoubt.pageBytes == 1 {
                file.state.withFacts { $0.kernelMayHoldEnd = true }
            }
        }
        // What passes through pages holds one until it is answered.
        if file.isDirect, notifier.hasRoom(for: inode) { awaitDrop(of: inode, notifier) }
    }

    /// Another mount took the last name of an inode that a program here has open: this session claims
    /// it, so that it lives until the last close.
    private func keepIfOpen(_ inode: InodeID) {
        guard let state = inodes.state(of: inode) else { return }
        let isOpen = state.withFacts { $0.openCount > 0 && $0.record.kind == .regular }
        if isOpen { claim(state) }
    }

    /// Says in the store that an inode without names is in use here.
    func claim(_ state: InodeState) {
        do throws(Errno) {
            try store.claimOrphan(state.id)
            state.withCommitted { facts in
                facts.isOrphan = true
                facts.record.linkCount = 0
            }
        } catch {
            // Gone before this mount could say that it is in use; what is cached of it can still be read.
            state.withFacts { facts in
                facts.isRemoved = true
                facts.isOrphan = false
                facts.record.linkCount = 0
            }
            logger.warning(
                "an open file was deleted by another mount",
                metadata: ["inode": "\(state.id)", "error": "\(error)"])
        }
    }

    /// Messages may have been lost: nothing that was cached before now is believed.
    private func expireEverything() {
        generations.bumpAll()
        heardNames.bumpAll()
        entries.removeAll()
        recentFlushes.hold(from: cache)
        cache.invalidateAll()
        for state in inodes.snapshot() {
            state.withFacts { facts in
                facts.isFresh = false
                facts.kernelPagesAreValid = false
                facts.systemAttributes = nil
                facts.kernelAttributesAreStale = true
                facts.names = nil
                facts.listing = nil
                facts.entryVersion &+= 1
                facts.preallocation = nil
            }
        }
        // A kernel that knows no epochs was given short times for entries.
        tellKernel { notifier in
            _ = notifier.invalidateAllEntries()
            for inode in inodes.referencedInodes() {
                dropPages(of: inode, 0..<UInt64(Int64.max))
            }
        }
    }
}
