import FileSystem
import Primitives
import VolumeStore

/// What has been fetched of a directory, in the order in which it is delivered. A value.
///
/// Names lie one behind the other in one array: a million entries cost their bytes and 24 more each.
struct DirectoryListing {
    struct Entry {
        let nameOffset: Int
        let inode: InodeID
        let kind: FileKind
        let nameLength: UInt8
    }

    /// What to fetch next, in one trip.
    enum Step: Equatable {
        /// Everything has been delivered.
        case end
        case fetch(ListingRequest, attributesUntil: Int)
    }

    private struct Page {
        let start: Int
        /// The directory's version when it was fetched.
        let version: UInt64
    }

    private(set) var entries: [Entry] = []
    private var names: [UInt8] = []
    private var pages: [Page] = []
    /// A walk over a changing hash may deliver an entry twice.
    private var seen: Set<UInt64> = []
    /// Where the store's walk goes on; 0 before the first page.
    private(set) var cursor: UInt64 = 0
    private(set) var isComplete = false
    /// What the entries before this position name has been asked for.
    private(set) var attributesUntil = 0
    /// Rises with each listing that a handle begins: what was asked for before belongs to the one before.
    private(set) var number: UInt64 = 0

    /// The version that all pages have in common; `nil` while there are pages to come, or when the
    /// directory changed between two of them.
    var completeVersion: UInt64? {
        guard isComplete, let version = pages.first?.version,
            pages.allSatisfy({ $0.version == version })
        else { return nil }
        return version
    }

    /// Whether the entry at `position` was fetched under `version`: only then is it sure enough to be
    /// given to the kernel with attributes, which makes it a name that the kernel believes.
    func isSteady(_ position: Int, at version: UInt64) -> Bool {
        pages.last { $0.start <= position }?.version == version
    }

    mutating func append(_ page: DirectoryPage, version: UInt64) {
        pages.append(Page(start: entries.count, version: version))
        // Only a second page can repeat an entry.
        let isWhole = entries.isEmpty && page.next == 0
        for entry in page.entries where isWhole || seen.insert(Self.hash(entry)).inserted {
            entries.append(
                Entry(
                    nameOffset: names.count, inode: entry.inode, kind: entry.kind,
                    nameLength: UInt8(truncatingIfNeeded: entry.name.count)))
            names.append(contentsOf: entry.name)
        }
        cursor = page.next
        isComplete = page.next == 0
        if isComplete { seen = [] }
        if page.records != nil { attributesUntil = entries.count }
    }

    mutating func noteAttributes(until position: Int) {
        attributesUntil = max(attributesUntil, position)
    }

    /// The same names for another handle, which asks for attributes anew.
    func forAnotherHandle() -> DirectoryListing {
        var copy = self
        copy.attributesUntil = 0
        return copy
    }

    /// What is needed to go on at `position`: the attributes of the next entries (but of those that
    /// `isKnown` has), the next page of names, or both.
    func next(
        after position: Int, withAttributes: Bool, isKnown: (InodeID) -> Bool
    ) -> Step {
        guard position < entries.count else {
            return isComplete
                ? .end
                : .fetch(
                    ListingRequest(
                        cursor: cursor, followsSmallPage: withAttributes && cursor == 0,
                        inodes: []),
                    attributesUntil: attributesUntil)
        }
        let end = position + ListingRequest.attributeEntries(of: entries.count - position)
        let wanted = entries[position..<end].filter { !isKnown($0.inode) }
        return .fetch(
            ListingRequest(
                cursor: entries.count - end < ListingRequest.pageEntries && !isComplete
                    ? cursor : nil,
                followsSmallPage: false,
                inodes: wanted.map { ListedInode(id: $0.inode, kind: $0.kind) }),
            attributesUntil: end)
    }

    /// What is worth fetching while what has been fetched is delivered, of which `position` has been reached.
    /// Nothing until the first part of what is not small has come.
    func ahead(
        of position: Int, withAttributes: Bool, isKnown: (InodeID) -> Bool
    ) -> Step {
        let fetched = withAttributes ? attributesUntil : entries.count
        let lead = 0...2 * ListingRequest.pageEntries
        guard fetched > 0, lead.contains(fetched - position) else { return .end }
        return next(after: fetched, withAttributes: withAttributes, isKnown: isKnown)
    }

    /// The listing that a handle begins after this one.
    func followed(by listing: DirectoryListing) -> DirectoryListing {
        var next = listing
        next.number = number + 1
        return next
    }

    func withName<Result>(
        of entry: Entry, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        names.withUnsafeBytes { bytes in
            let range = entry.nameOffset..<entry.nameOffset + Int(entry.nameLength)
            return body(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    /// 64 bits of name and inode: two entries of one directory meet once in 10^7 directories of a
    /// million entries.
    private static func hash(_ entry: DirectoryPage.Entry) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(entry.inode)
        entry.name.withUnsafeBytes { hasher.combine(bytes: $0) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}

/// Complete listings that stay with the states of their directories, so that listing a directory again
/// costs no trip for names while nothing changes in it.
final class KeptListing: Sendable {
    /// Bounds what all of a mount keep.
    final class Budget: Sendable {
        /// About 40 bytes each: 5 MiB.
        static let maximumEntries = 1 << 17
        private let used = Locked(0)

        fileprivate func take(_ count: Int) -> Bool {
            used.withLock { used in
                guard used + count <= Self.maximumEntries else { return false }
                used += count
                return true
            }
        }

        fileprivate func giveBack(_ count: Int) { used.withLock { $0 -= count } }
    }

    let listing: DirectoryListing
    let version: UInt64
    private let budget: Budget

    /// `nil` for a listing that is not complete and of one version, and when there is no room.
    init?(_ listing: DirectoryListing, budget: Budget) {
        guard let version = listing.completeVersion, budget.take(listing.entries.count) else {
            return nil
        }
        self.listing = listing.forAnotherHandle()
        self.version = version
        self.budget = budget
    }

    deinit { budget.giveBack(listing.entries.count) }
}
