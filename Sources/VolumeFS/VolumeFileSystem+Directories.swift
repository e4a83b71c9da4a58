public import FileSystem
import Logging
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    private static let firstEntryCookie = DirectoryEntry.cookieBehindDots

    public func opendir(_ caller: Caller, inode: InodeID) throws(Errno) -> OpenAnswer {
        let state = try state(of: inode)
        guard state.record.kind == .directory else { throw .notDirectory }
        state.withFacts { $0.openCount += 1 }
        return OpenAnswer(
            handle: directories.insert(OpenDirectory(state: state), hint: inode))
    }

    public func releasedir(_ caller: Caller, inode: InodeID, handle: HandleID) {
        guard let directory = directories.remove(handle) else { return }
        let isGone = directory.state.withFacts { facts in
            facts.openCount -= 1
            return facts.openCount == 0 && facts.isRemoved
        }
        if isGone { inodes.remove(inode) } else { inodes.removeUnreferenced(inode) }
    }

    public func readdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, cookie: UInt64, withAttributes: Bool,
        sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno) {
        let directory = try directories.item(handle)
        noteAccess(directory.state)
        // rewinddir(3): the listing is to show what is there now.
        if cookie == 0 { beginListing(of: directory) }
        if cookie < Self.firstEntryCookie {
            let record = directory.state.record
            let dots = DirectoryEntry.deliverDots(
                of: record.id, in: record.parent, from: cookie, sink)
            guard dots == .taken else { return }
        }
        var position = Int(cookie < Self.firstEntryCookie ? 0 : cookie - Self.firstEntryCookie)
        while true {
            fetchAhead(of: position, in: directory, withAttributes: withAttributes)
            let answer = deliver(
                directory, from: &position, withAttributes: withAttributes, sink)
            guard answer == .taken else { return }
            if directory.awaitFetchingAhead() { continue }
            let (step, number) = directory.listing.withLock { listing in
                (
                    listing.next(
                        after: position, withAttributes: withAttributes, isKnown: isFreshlyKnown),
                    listing.number
                )
            }
            guard case .fetch(let request, let attributesUntil) = step else { return }
            guard try fetch(request, of: directory, attributesUntil, number) else { return }
        }
    }

    /// Has the next part of a large directory fetched while this one is delivered. What goes wrong with it is
    /// found out when the part is needed.
    private func fetchAhead(of position: Int, in directory: OpenDirectory, withAttributes: Bool) {
        // Asked first: what is worth fetching takes a look at each entry of it.
        if directory.isFetchingAhead { return }
        let (step, number) = directory.listing.withLock { listing in
            (
                listing.ahead(
                    of: position, withAttributes: withAttributes, isKnown: isFreshlyKnown),
                listing.number
            )
        }
        guard case .fetch(let request, let attributesUntil) = step,
            directory.beginFetchingAhead()
        else { return }
        let inode = directory.state.id
        let isQueued = listingQueue.enqueue { [self] in
            defer { directory.endFetchingAhead() }
            do throws(Errno) {
                _ = try fetch(request, of: directory, attributesUntil, number)
            } catch {
                logger.debug(
                    "not fetched ahead", metadata: ["inode": "\(inode)", "error": "\(error)"])
            }
        }
        if !isQueued { directory.endFetchingAhead() }
    }

    /// A new listing, or the last complete one, if nothing has changed in the directory since.
    private func beginListing(of directory: OpenDirectory) {
        let kept = directory.state.withFacts { facts -> DirectoryListing? in
            guard let kept = facts.listing, kept.version == facts.entryVersion else {
                facts.listing = nil
                return nil
            }
            return kept.listing
        }
        directory.listing.withLock { $0 = $0.followed(by: kept ?? DirectoryListing()) }
    }

    /// Delivers what has been fetched, from `position` on, up to where attributes are missing that have
    /// not been asked for.
    private func deliver(
        _ directory: OpenDirectory, from position: inout Int, withAttributes: Bool,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let version = directory.state.withFacts { $0.entryVersion }
        return directory.listing.withLock { listing in
            while position < listing.entries.count {
                let entry = listing.entries[position]
                let isSteady = withAttributes && listing.isSteady(position, at: version)
                let state = isSteady ? freshKnownState(entry.inode) : nil
                if isSteady, state == nil, position >= listing.attributesUntil { return .taken }
                let taken = listing.withName(of: entry) { name in
                    sink(
                        DirectoryEntry(
                            name: FileName(name), inode: entry.inode, kind: entry.kind,
                            cookie: UInt64(position) + Self.firstEntryCookie + 1,
                            answer: state.map {
                                answer($0, isKnown: inodes.isReferenced($0.id))
                            }))
                }
                guard taken == .taken else { return .full }
                if let state { inodes.addReference(state.id) }
                position += 1
            }
            return .taken
        }
    }

    private func isFreshlyKnown(_ inode: InodeID) -> Bool { freshKnownState(inode) != nil }

    private func freshKnownState(_ inode: InodeID) -> InodeState? {
        guard let state = inodes.state(of: inode) else { return nil }
        return state.withFacts { $0.isFresh && !$0.isRemoved } ? state : nil
    }

    /// One trip, for the listing `number` of the handle. False at the end of a directory that is gone.
    private func fetch(
        _ request: ListingRequest, of directory: OpenDirectory, _ attributesUntil: Int,
        _ number: UInt64
    ) throws(Errno) -> Bool {
        let parent = directory.state.id
        let (isRemoved, version) = directory.state.withFacts { ($0.isRemoved, $0.entryVersion) }
        if isRemoved { return false }
        let namesGeneration = generations.current(parent)
        let total = generations.total
        let inodeGenerations = request.inodes.map { generations.current($0.id) }
        let (page, records) = try store.list(parent, request)
        for (record, generation) in zip(records, inodeGenerations) {
            guard let record else { continue }
            _ = inodes.install(record, addingReference: false) {
                generations.current(record.id) == generation && store.hearsChanges
            }
        }
        for case let record? in page?.records ?? [] {
            _ = inodes.install(record, addingReference: false) {
                generations.total == total && store.hearsChanges
            }
        }
        for entry in page?.entries ?? [] {
            entries.insert(parent: parent, name: entry.name, inode: entry.inode) {
                generations.current(parent) == namesGeneration
            }
        }
        let complete = directory.listing.withLock { listing -> DirectoryListing? in
            guard listing.number == number else { return nil }
            listing.noteAttributes(until: attributesUntil)
            // Another reader of the same handle may have fetched the same page.
            guard let page, listing.cursor == request.cursor, !listing.isComplete else {
                return nil
            }
            listing.append(page, version: version)
            return listing.isComplete ? listing : nil
        }
        if store.hearsChanges,
            let kept = complete.flatMap({ KeptListing($0, budget: listingBudget) })
        {
            directory.state.withFacts { $0.listing = kept }
        }
        return true
    }
}
