public import FileSystem
public import Primitives
import VolumeStore

extension VolumeFileSystem {
    /// Entries of one trip to the store.
    private static let pageEntries = 1_000
    private static let firstEntryCookie: UInt64 = 2

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
        if isGone { inodes.remove(inode) }
    }

    public func readdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, cookie: UInt64, withAttributes: Bool,
        sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno) {
        let directory = try directories.item(handle)
        noteAccess(directory.state)
        // rewinddir(3): the listing is to show what is there now.
        if cookie == 0 { directory.listing.withLock { $0 = OpenDirectory.Listing() } }
        if cookie < Self.firstEntryCookie {
            guard deliverDots(of: directory.state.record, from: cookie, sink) == .taken else {
                return
            }
        }
        var position = Int(cookie < Self.firstEntryCookie ? 0 : cookie - Self.firstEntryCookie)
        while true {
            let answer = deliver(
                directory, from: &position, withAttributes: withAttributes, sink)
            guard answer == .taken else { return }
            guard try fetchPage(of: directory) else { return }
        }
    }

    private func deliverDots(
        of record: InodeRecord, from cookie: UInt64,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let names: [(StaticString, InodeID)] = [(".", record.id), ("..", record.parent)]
        for (index, (name, inode)) in names.enumerated() where UInt64(index) >= cookie {
            let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            let entry = DirectoryEntry(
                name: FileName(bytes), inode: inode, kind: .directory, cookie: UInt64(index) + 1,
                answer: nil)
            guard sink(entry) == .taken else { return .full }
        }
        return .taken
    }

    /// Delivers what has been fetched, from `position` on.
    private func deliver(
        _ directory: OpenDirectory, from position: inout Int, withAttributes: Bool,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let version = directory.state.withFacts { $0.entryVersion }
        return directory.listing.withLock { listing in
            while position < listing.entries.count {
                let entry = listing.entries[position]
                let isSteady = version == listing.pageVersion && position >= listing.pageStart
                let state = withAttributes && isSteady ? freshKnownState(entry.inode) : nil
                let taken = listing.withName(of: entry) { name in
                    sink(
                        DirectoryEntry(
                            name: FileName(name), inode: entry.inode, kind: entry.kind,
                            cookie: UInt64(position) + Self.firstEntryCookie + 1,
                            answer: state.map(answer)))
                }
                guard taken == .taken else { return .full }
                if let state { inodes.addReference(state.id) }
                position += 1
            }
            return .taken
        }
    }

    private func freshKnownState(_ inode: InodeID) -> InodeState? {
        guard let state = inodes.state(of: inode) else { return nil }
        return state.withFacts { $0.isFresh && !$0.isRemoved } ? state : nil
    }

    /// One trip: the next entries with their inodes. False at the end of the directory.
    private func fetchPage(of directory: OpenDirectory) throws(Errno) -> Bool {
        let (cursor, isComplete) = directory.listing.withLock { ($0.cursor, $0.isComplete) }
        let isRemoved = directory.state.withFacts { $0.isRemoved }
        if isComplete || isRemoved { return false }
        let version = directory.state.withFacts { $0.entryVersion }
        let generation = generations.total
        let page = try store.page(
            of: directory.state.id, cursor: cursor, limit: Self.pageEntries)
        for entry in page.entries {
            guard let record = entry.record else { continue }
            _ = inodes.install(record, addingReference: false) { generations.total == generation }
            entries.insert(parent: directory.state.id, name: entry.name, inode: entry.inode) {
                generations.total == generation
            }
        }
        return directory.listing.withLock { listing in
            // Another reader of the same handle may have fetched the same page.
            guard listing.cursor == cursor, !listing.isComplete else { return true }
            listing.append(page, version: version)
            return true
        }
    }
}
