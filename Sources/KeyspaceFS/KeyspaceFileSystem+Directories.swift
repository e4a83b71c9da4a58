public import FileSystem
import KeyValue
import Logging
public import Primitives

extension KeyspaceFileSystem {
    /// `.` and `..` come before the entries.
    private static let firstEntryCookie: UInt64 = 2

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
            guard deliverDots(of: directory.inode, from: cookie, sink) == .taken else { return }
            let first = Int(clamping: max(cookie, Self.firstEntryCookie) - Self.firstEntryCookie)
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
                    cookie: UInt64(number) + Self.firstEntryCookie + 1, answer: answer))
        }
        if taken == .full, answer != nil { inodes.forget(id, count: 1) }
        return taken
    }

    private func deliverDots(
        of inode: KeyInode, from cookie: UInt64, _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let above = naming.parent(of: inode.place).map { inodes.number(of: $0) } ?? inode.id
        let names: [(StaticString, InodeID)] = [(".", inode.id), ("..", above)]
        for (index, (name, id)) in names.enumerated() where UInt64(index) >= cookie {
            let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            let entry = DirectoryEntry(
                name: FileName(bytes), inode: id, kind: .directory, cookie: UInt64(index) + 1,
                answer: nil)
            guard sink(entry) == .taken else { return .full }
        }
        return .taken
    }
}
