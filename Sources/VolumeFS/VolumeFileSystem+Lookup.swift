public import FileSystem
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    public func lookup(
        _ caller: Caller, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        if let dots = name.dots { return try answer(dots, of: parent) }
        if let state = cachedChild(of: parent, name: name) {
            let isKnown = inodes.isReferenced(state.id)
            inodes.addReference(state.id)
            return answer(state, isKnown: isKnown)
        }
        if isCertainlyAbsent(name, in: parent) { throw .noEntry }
        let key = try checked(name)
        let parentGeneration = generations.current(parent)
        let record = try fetchChild(parent: parent, name: key)
        entries.insert(parent: parent, name: key, inode: record.record.id) {
            generations.current(parent) == parentGeneration
        }
        let isKnown = inodes.isReferenced(record.record.id)
        let state = inodes.install(record.record, addingReference: true) {
            generations.current(record.record.id) == record.generation && store.hearsChanges
        }
        state.withFacts { $0.wasJustFound = true }
        return answer(state, isKnown: isKnown)
    }

    public func forget(_ inode: InodeID, count: UInt64) {
        inodes.forget(inode, count: count)
    }

    /// The state of a name's inode when both are known and fresh; no heap allocation, no store trip.
    func cachedChild(of parent: InodeID, name: FileName) -> InodeState? {
        guard let inode = entries.inode(parent: parent, name: name.bytes),
            let state = inodes.state(of: inode)
        else { return nil }
        let isHere = state.withFacts { $0.isFresh && !$0.isRemoved && $0.record.linkCount > 0 }
        return isHere ? state : nil
    }

    /// Whether a directory whose names are all known has no such name. Only while no other session can
    /// make one; no heap allocation, no store trip.
    private func isCertainlyAbsent(_ name: FileName, in parent: InodeID) -> Bool {
        guard let names = inodes.state(of: parent)?.withFacts({ $0.names }), store.isAlone else {
            return false
        }
        return !names.mayContain(entries.hash(parent, name.bytes))
    }

    /// A name is about to appear in a directory. Called before the store is told.
    func expectName(_ name: [UInt8], in parent: InodeID) {
        guard let state = inodes.state(of: parent), let names = state.withFacts({ $0.names }) else {
            return
        }
        let hash = name.withUnsafeBytes { entries.hash(parent, $0) }
        if !names.insert(hash) { state.withFacts { $0.names = nil } }
    }

    /// What this mount believes of a name, without asking the store.
    func believedChild(of parent: InodeID, name: [UInt8]) -> InodeRecord? {
        guard let inode = entries.inode(parent: parent, name: name),
            let state = inodes.state(of: inode)
        else { return nil }
        return state.record
    }

    /// One `lookup` of the store, with the generation under which the record may be believed. The
    /// inode's number is not known before the answer, so its generation is read after it and the
    /// parent's is what guards against a change in between: a record whose state exists and is fresh is
    /// never replaced.
    private func fetchChild(
        parent: InodeID, name: [UInt8]
    ) throws(Errno) -> (record: InodeRecord, generation: UInt64) {
        if let known = entries.inode(parent: parent, name: name) {
            let generation = generations.current(known)
            let record = try store.lookup(parent: parent, name: name)
            if record.id == known { return (record, generation) }
        }
        let all = generations.total
        let record = try store.lookup(parent: parent, name: name)
        // Anything that changed meanwhile makes the record suspect: the next look fetches it again.
        let isSteady = generations.total == all
        let generation = generations.current(record.id)
        return (record, isSteady ? generation : generation &- 1)
    }

    /// The state of an inode that the kernel refers to, made from the store if need be.
    func state(of inode: InodeID) throws(Errno) -> InodeState {
        if let state = inodes.state(of: inode) { return state }
        return try fetchedState(of: inode)
    }

    private func fetchedState(of inode: InodeID) throws(Errno) -> InodeState {
        let generation = generations.current(inode)
        let record = try store.record(of: inode)
        return inodes.install(record, addingReference: false) {
            generations.current(inode) == generation && store.hearsChanges
        }
    }

    /// The state with a record that the store has confirmed since the last change that was heard of.
    func freshState(of inode: InodeID) throws(Errno) -> InodeState {
        let state = try state(of: inode)
        try refresh(state)
        return state
    }

    /// Fetches the record unless it is fresh. An inode that is gone from the store but still open here
    /// keeps what is known of it.
    func refresh(_ state: InodeState) throws(Errno) {
        // Another thread's change may overtake each fetch; after these the next one stands.
        for _ in 1...2 where try refreshOnce(state, isLast: false) { return }
        // What this mount stores and cuts waits meanwhile: it does not come between again.
        try flushStripes.withExclusive(state.id) { () throws(Errno) in
            _ = try refreshOnce(state, isLast: true)
        }
    }

    /// False when another thread's change has come between, unless this is the `isLast`.
    private func refreshOnce(_ state: InodeState, isLast: Bool) throws(Errno) -> Bool {
        let (isKnown, oldEnd, commits, fetches) = state.withFacts {
            ($0.isFresh || $0.isRemoved, $0.oldEnd.pending, $0.commits, $0.fetches)
        }
        if isKnown {
            if let oldEnd { dropOldEnd(of: state, from: oldEnd) }
            return true
        }
        let generation = generations.current(state.id)
        let record: InodeRecord
        do throws(Errno) {
            record = try store.record(of: state.id)
        } catch {
            guard error == .stale else { throw error }
            let isOpen = state.withFacts { facts in
                facts.isRemoved = true
                facts.record.linkCount = 0
                return facts.openCount > 0
            }
            if isOpen { return true }
            throw .stale
        }
        let (isDone, newOldEnd) = state.withFacts { facts in
            // Under the lock: a change moves the generation first, and then what is known here.
            let isCurrent = generations.current(state.id) == generation
            guard isCurrent || isLast else { return (false, facts.oldEnd.pending) }
            // What another thread has fetched meanwhile may be newer than this.
            if facts.isFresh { return (true, facts.oldEnd.pending) }
            if facts.fetches != fetches, !facts.holds(record) {
                return (isLast, facts.oldEnd.pending)
            }
            if facts.absorb(record, askedAt: commits) {
                facts.isFresh = isCurrent && store.hearsChanges
            }
            return (true, facts.oldEnd.pending)
        }
        if isDone, let newOldEnd { dropOldEnd(of: state, from: newOldEnd) }
        return isDone
    }

    /// `isKnown`: the kernel knew the inode before.
    func answer(_ state: InodeState, isKnown: Bool = false) -> EntryAnswer {
        EntryAnswer(
            attributes: attributes(of: state), generation: generation(of: state.id),
            entryTimeoutSeconds: entryTimeoutSeconds,
            attributesTimeoutSeconds: attributeTimeoutSeconds(of: state, isKnown: isKnown))
    }
}
