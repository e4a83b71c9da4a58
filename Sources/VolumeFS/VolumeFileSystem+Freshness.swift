import Cache
import FileSystem
import Primitives
import VolumeStore

// What is read behind an open or a lock is not older than that.
extension VolumeFileSystem {
    /// Makes sure that what is read from now on is not older than this call: the record is fetched, and
    /// every change before it has been acted upon; where that cannot be known, what is cached of the inode
    /// goes. One trip. The kernel's attributes go as well when they may be older.
    ///
    /// `thread`: of a program that opens it, by a name which the kernel may have found in its cache. When
    /// another mount has taken the last name away, ESTALE makes the kernel look again; at its second try
    /// (`RefusedOpens`) an inode that is open here, or that the store has just named, is opened all the same.
    func prove(_ state: InodeState, openedBy thread: Int32?) throws(Errno) {
        let (isRemoved, isOpen, wasJustFound) = state.withFacts { facts in
            defer { if thread != nil { facts.wasJustFound = false } }
            return (facts.isRemoved, facts.openCount > 0, facts.wasJustFound)
        }
        let linkCount = isRemoved ? nil : try fetchProof(of: state)
        guard let thread else {
            if linkCount == nil, !isOpen { throw .stale }
            return
        }
        if let linkCount, linkCount > 0 { return refusedOpens.forget(thread) }
        guard refusedOpens.take(thread) else {
            refusedOpens.add(thread)
            throw .stale
        }
        guard isOpen || linkCount != nil && wasJustFound else { throw .stale }
        if linkCount != nil, !isOpen || !state.withFacts({ $0.isOrphan }) { claim(state) }
    }

    /// Returns the link count; `nil`: the inode is gone.
    private func fetchProof(of state: InodeState) throws(Errno) -> UInt32? {
        // What this mount changes may come between a fetch and its answer.
        for _ in 1...2 {
            let (proof, isAbsorbed) = try fetchProofOnce(of: state, isLast: false)
            if isAbsorbed { return proof }
        }
        // What it stores and cuts waits meanwhile. Should a name or an attribute have changed again, then
        // what is known stands, and is fetched when it is next asked for.
        return try flushStripes.withExclusive(state.id) { () throws(Errno) in
            try fetchProofOnce(of: state, isLast: true).linkCount
        }
    }

    private func fetchProofOnce(
        of state: InodeState, isLast: Bool
    ) throws(Errno) -> (linkCount: UInt32?, isAbsorbed: Bool) {
        let generation = generations.current(state.id)
        let (commits, fetches) = state.withFacts { ($0.commits, $0.fetches) }
        let dated = try store.datedRecord(of: state.id)
        let isProved = state.withFacts { $0.provedChange == dated.change }
        if !isProved, !store.hasHeard(dated.change) { forgetContents(of: state) }
        guard let record = dated.record else {
            state.withFacts { facts in
                facts.isRemoved = true
                facts.record.linkCount = 0
            }
            return (nil, true)
        }
        let (isAbsorbed, isStale, oldEnd) = state.withFacts { facts in
            // Another thread's fetch may be newer than this one; it serves as well when it proves as much.
            if facts.fetches != fetches, facts.provedChange ?? 0 >= dated.change,
                !facts.holds(record)
            {
                let isProved = facts.isFresh
                if isProved || !isLast {
                    return (isProved, facts.kernelAttributesAreStale, facts.oldEnd.pending)
                }
            }
            guard facts.absorb(record, askedAt: commits) else {
                return (false, facts.kernelAttributesAreStale, facts.oldEnd.pending)
            }
            // What was heard meanwhile may be newer than the record.
            facts.isFresh = generations.current(state.id) == generation && store.hearsChanges
            facts.provedChange = dated.change
            defer { facts.kernelAttributesAreStale = false }
            return (true, facts.kernelAttributesAreStale, facts.oldEnd.pending)
        }
        if let oldEnd { dropOldEnd(of: state, from: oldEnd) }
        if isStale { tellKernel { $0.expireAttributes(state.id) } }
        return (record.linkCount, isAbsorbed)
    }

    /// A lock was taken; what was changed under it before is seen from now on, also by way of the kernel's
    /// page cache. `change`: the volume's last change when the lock was taken; `nil` while this mount is
    /// alone, or when everything before the lock was heard. Calls `body` then.
    func settleLock(
        on state: InodeState, at change: UInt64?, _ body: @escaping @Sendable () -> Void
    ) {
        if let change, state.withFacts({ $0.provedChange != change }), !store.hasHeard(change) {
            forgetContents(of: state)
            dropPages(of: state.id, 0..<UInt64(Int64.max))
        }
        let isStale = state.withFacts { facts in
            defer { facts.kernelAttributesAreStale = false }
            return facts.kernelAttributesAreStale
        }
        guard let notifier = notifier.withLock({ $0 }) else { return body() }
        if isStale { notifier.expireAttributes(state.id) }
        notifier.afterInvalidations(of: state.id, body)
    }

    /// Whatever is cached of the contents may be out of date.
    func forgetContents(of state: InodeState) {
        let data = state.withFacts { facts in
            facts.isFresh = false
            facts.kernelPagesAreValid = false
            facts.kernelAttributesAreStale = true
            return facts.record.data
        }
        generations.bump(state.id)
        cache.invalidate(data, blocks: nil)
    }
}
