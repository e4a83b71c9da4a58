public import FileSystem
import KeyValue
import Logging
public import Primitives

extension KeyspaceFileSystem {
    public func opendir(_ caller: Caller, inode: InodeID) throws(Errno) -> OpenAnswer {
        let inode = try inodes.inode(inode)
        guard inode.place.isDirectory else { throw .notDirectory }
        return OpenAnswer(
            handle: directories.insert(
                OpenKeyDirectory(inode: inode, beginning(of: inode.place)), hint: inode.id))
    }

    private func beginning(of place: Place) -> OpenKeyDirectory.State {
        OpenKeyDirectory.State(
            listing: KeyListing(place, self), window: ListingWindow(limit: options.listingLimit))
    }

    public func releasedir(_ caller: Caller, inode: InodeID, handle: HandleID) {
        directories.remove(handle)
    }

    public func fsyncdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, dataOnly: Bool
    ) throws(Errno) {}

    /// What is there throughout is listed exactly once by whoever reads from the beginning to the end. A
    /// position is found again as long as it is not before the last answer; from an earlier one on, the listing
    /// is made anew and what came or went since moves it.
    public func readdir(
        _ caller: Caller, inode: InodeID, handle: HandleID, cookie: UInt64, withAttributes: Bool,
        sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno) {
        let directory = try directories.item(handle)
        try directory.state.withLock { state throws(Errno) in
            if cookie == 0 { state = beginning(of: directory.inode.place) }
            let inode = directory.inode
            let above = naming.parent(of: inode.place).map { inodes.number(of: $0) } ?? inode.id
            let dots = DirectoryEntry.deliverDots(of: inode.id, in: above, from: cookie, sink)
            guard dots == .taken else { return }
            let behindDots = DirectoryEntry.cookieBehindDots
            let first = Int(clamping: max(cookie, behindDots) - behindDots)
            if first < state.window.start { state = beginning(of: directory.inode.place) }
            // The kernel may throw a part of an answer away and ask again.
            state.window.drop(before: min(state.lastStart, first))
            state.lastStart = first
            try deliver(from: first, &state, withAttributes: withAttributes, sink)
        }
    }

    private func deliver(
        from first: Int, _ state: inout OpenKeyDirectory.State, withAttributes: Bool,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) throws(Errno) {
        var number = first
        while true {
            while number >= state.window.end {
                // Behind what was given out before: only when the listing was made anew.
                state.window.drop(before: min(state.window.end, first))
                guard try fetch(&state, withAttributes: withAttributes) else { return }
            }
            guard let entry = state.window.entry(number) else { return }
            guard deliver(entry, number, withAttributes: withAttributes, sink) == .taken else {
                return
            }
            number += 1
        }
    }

    /// The next entries; false at the end.
    private func fetch(
        _ state: inout OpenKeyDirectory.State, withAttributes: Bool
    ) throws(Errno) -> Bool {
        guard !state.isComplete, var entries = try state.listing.next() else {
            if !state.isComplete, state.window.isOverfull {
                logger.warning(
                    "a directory with more entries than are remembered while it is listed")
            }
            state.isComplete = true
            return false
        }
        if withAttributes {
            let places = entries.map(\.place)
            let facts = try sized(try store.facts(of: places, isBulky: true), at: places)
            for index in entries.indices { entries[index].facts = facts[index] }
        }
        state.window.add(entries)
        return true
    }

    private func deliver(
        _ entry: ListedEntry, _ number: Int, withAttributes: Bool,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let hasAttributes = withAttributes && (entry.place.isDirectory || entry.facts != nil)
        let answer = hasAttributes ? self.entry(Found(place: entry.place, facts: entry.facts)) : nil
        let id = answer?.attributes.inode ?? inodes.number(of: entry.place)
        // SAFETY: the name lives until the sink has returned.
        let taken = entry.name.withUnsafeBytes { name in
            sink(
                DirectoryEntry(
                    name: FileName(name), inode: id,
                    kind: entry.place.isDirectory ? .directory : .regular,
                    cookie: UInt64(number) + DirectoryEntry.cookieBehindDots + 1, answer: answer))
        }
        if taken == .full, answer != nil { inodes.forget(id, count: 1) }
        return taken
    }
}
