import FileSystem
import Primitives
import VolumeStore

/// An open directory: the listing as this handle has seen it so far, page by page.
///
/// A cookie is a position in this listing, so it means the same however the directory changes: 1 stands
/// behind `.`, 2 behind `..`, n + 3 behind entry n. Entries that are there throughout are listed exactly
/// once; those that come or go meanwhile may or may not be.
final class OpenDirectory: Sendable {
    let state: InodeState
    let listing = Locked(Listing())

    init(state: InodeState) { self.state = state }

    /// Names lie one behind the other in one array: a million entries cost their bytes and 24 more each.
    struct Listing {
        struct Entry {
            let nameOffset: Int
            let inode: InodeID
            let kind: FileKind
            let nameLength: UInt8
        }

        private(set) var entries: [Entry] = []
        private var names: [UInt8] = []
        /// A walk over a changing hash may deliver an entry twice.
        private var seen: Set<UInt64> = []
        /// Where the store's walk goes on; 0 before the first page.
        private(set) var cursor: UInt64 = 0
        private(set) var isComplete = false
        /// The directory's version when the last page was fetched, and where that page begins:
        /// attributes are given out with its entries only while nothing has changed since.
        private(set) var pageVersion: UInt64 = 0
        private(set) var pageStart = 0

        mutating func append(_ page: DirectoryPage, version: UInt64) {
            pageStart = entries.count
            pageVersion = version
            for entry in page.entries where seen.insert(Self.hash(entry)).inserted {
                entries.append(
                    Entry(
                        nameOffset: names.count, inode: entry.inode, kind: entry.kind,
                        nameLength: UInt8(truncatingIfNeeded: entry.name.count)))
                names.append(contentsOf: entry.name)
            }
            cursor = page.next
            isComplete = page.next == 0
            if isComplete { seen = [] }
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
}
