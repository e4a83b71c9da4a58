import FileSystem
import Primitives

/// What the kernel shall drop, in order, each thing once. A value: `QueuedNotifier` waits and sends.
///
/// Bounded: when it is full, all waiting entries become one message that makes the kernel doubt every entry
/// (FUSE_NOTIFY_INC_EPOCH) and one invalidation of each of their directories. Inodes are not dropped for
/// any number of them: the caller waits.
struct InvalidationQueue {
    enum Notification: Equatable {
        case attributes(InodeID)
        /// Attributes, and cached pages of these bytes.
        case pages(InodeID, Range<UInt64>)
        case entry(parent: InodeID, name: [UInt8])
        /// The file reaches to `end`, and that is its byte there.
        case end(InodeID, end: UInt64, lastByte: UInt8)
        case allEntries
        /// Nothing for the kernel: somebody waits until all before this has been sent.
        case marker(UInt64)
    }

    private struct EntryKey: Hashable {
        let parent: InodeID
        let name: [UInt8]
    }

    private enum Slot {
        case inode(InodeID)
        case entry(EntryKey)
        case end(InodeID, number: UInt64, end: UInt64, lastByte: UInt8)
        case allEntries
        case marker(UInt64)
    }

    let capacity: Int
    /// The kernel knows epochs (protocol 7.44).
    var canInvalidateAllEntries = false
    private var order: [Slot] = []
    /// The first of `order` that was not taken yet.
    private var head = 0
    /// The pages of each waiting inode; an empty range means attributes alone.
    private var inodes: [InodeID: Range<UInt64>] = [:]
    /// Which end of each inode is still to be told: not one that a later one or a drop of pages came behind.
    private var ends: [InodeID: UInt64] = [:]
    private var lastEnd: UInt64 = 0
    private var entries: Set<EntryKey> = []
    private var isAllEntriesWaiting = false

    init(capacity: Int) {
        self.capacity = capacity
    }

    var count: Int { order.count - head }

    /// Whether it was taken in; otherwise wait until something left. `isOfRequest`: it is taken in also when
    /// there is no room, for a request that must not wait for that; there are only so many of them.
    mutating func add(
        inode: InodeID, pages: Range<UInt64>, isOfRequest: Bool = false
    ) -> Bool {
        ends[inode] = nil
        if let waiting = inodes[inode] {
            inodes[inode] = Self.covering(waiting, pages)
            return true
        }
        guard makeRoom() || isOfRequest else { return false }
        inodes[inode] = pages
        order.append(.inode(inode))
        return true
    }

    /// Comes behind what was added before. Not told any more when pages of the inode are to be dropped behind
    /// it: then neither its byte nor the size need be those of now. Not bounded: one for each request.
    mutating func add(inode: InodeID, end: UInt64, lastByte: UInt8) {
        lastEnd &+= 1
        ends[inode] = lastEnd
        order.append(.end(inode, number: lastEnd, end: end, lastByte: lastByte))
    }

    /// Whether it was taken in; otherwise wait until something left.
    mutating func add(entryOf parent: InodeID, name: [UInt8]) -> Bool {
        // An epoch that was not sent yet covers this entry too.
        if isAllEntriesWaiting { return add(inode: parent, pages: Self.none) }
        let key = EntryKey(parent: parent, name: name)
        if entries.contains(key) { return true }
        guard makeRoom() else { return false }
        if isAllEntriesWaiting { return add(inode: parent, pages: Self.none) }
        entries.insert(key)
        order.append(.entry(key))
        return true
    }

    /// Whether it was taken in; otherwise wait until something left. Entries that wait are part of it.
    mutating func addAllEntries() -> Bool {
        precondition(canInvalidateAllEntries, "this kernel knows no epochs")
        if isAllEntriesWaiting { return true }
        guard makeRoom() else { return false }
        if !isAllEntriesWaiting {
            isAllEntriesWaiting = true
            order.append(.allEntries)
        }
        return true
    }

    /// Comes out after everything that waits now. Not bounded: one for each request that waits for it.
    mutating func add(marker: UInt64) { order.append(.marker(marker)) }

    mutating func next() -> Notification? {
        guard head < order.count else { return nil }
        let slot = order[head]
        head += 1
        if head == order.count {
            order.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= capacity {
            order.removeFirst(head)
            head = 0
        }
        switch slot {
        case .inode(let inode):
            let pages = inodes.removeValue(forKey: inode) ?? Self.none
            return pages.isEmpty ? .attributes(inode) : .pages(inode, pages)
        case .entry(let key):
            entries.remove(key)
            return .entry(parent: key.parent, name: key.name)
        case .end(let inode, let number, let end, let lastByte):
            guard ends[inode] == number else { return .attributes(inode) }
            ends[inode] = nil
            return .end(inode, end: end, lastByte: lastByte)
        case .allEntries:
            isAllEntriesWaiting = false
            return .allEntries
        case .marker(let number): return .marker(number)
        }
    }

    /// Whether one more fits, after merging entries if that is what it takes.
    private mutating func makeRoom() -> Bool {
        if count < capacity { return true }
        guard canInvalidateAllEntries, !entries.isEmpty else { return false }
        mergeEntries()
        return count < capacity
    }

    private mutating func mergeEntries() {
        var merged: [Slot] = []
        for slot in order[head...] {
            switch slot {
            case .inode, .end, .allEntries, .marker:
                merged.append(slot)
            case .entry(let key):
                if !isAllEntriesWaiting {
                    isAllEntriesWaiting = true
                    merged.append(.allEntries)
                }
                if inodes.updateValue(inodes[key.parent] ?? Self.none, forKey: key.parent) == nil {
                    merged.append(.inode(key.parent))
                }
            }
        }
        entries.removeAll()
        order = merged
        head = 0
    }

    private static let none: Range<UInt64> = 0..<0

    /// The smallest range that holds both; an empty one adds nothing.
    private static func covering(
        _ left: Range<UInt64>, _ right: Range<UInt64>
    ) -> Range<UInt64> {
        if left.isEmpty { return right }
        if right.isEmpty { return left }
        return min(left.lowerBound, right.lowerBound)..<max(left.upperBound, right.upperBound)
    }
}
