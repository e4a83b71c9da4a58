public import FileSystem
import KeyValue
public import Primitives

/// A part of a directory.
public struct DirectoryPage: Sendable {
    public struct Entry: Sendable {
        public var name: [UInt8]
        public var inode: InodeID
        public var kind: FileKind

        public init(name: [UInt8], inode: InodeID, kind: FileKind) {
            self.name = name
            self.inode = inode
            self.kind = kind
        }
    }

    /// Where the next page begins; 0 at the end.
    public var next: UInt64
    public var entries: [Entry]
    /// For each entry what it names, when the page is small (`nil` inside: gone or damaged, which can be
    /// listed and removed).
    public var records: [InodeRecord?]?
}

/// An inode as an entry names it.
public struct ListedInode: Hashable, Sendable {
    public var id: InodeID
    public var kind: FileKind

    public init(id: InodeID, kind: FileKind) {
        self.id = id
        self.kind = kind
    }
}

/// What one trip for a listing brings.
public struct ListingRequest: Sendable, Equatable {
    /// Entries of one page, about. A power of two, as the tables of a server are: HSCAN walks buckets, and
    /// a walk of 4,096 of them by 2,000 ends with a third page of a few.
    public static let pageEntries = 2_048
    /// Entries whose attributes one trip brings, about: half a page, so that the other half can be fetched
    /// while this one is delivered.
    private static let attributeEntries = pageEntries / 2
    /// So many are not split: a trip is to bring a thousand entries or what there is.
    private static let indivisibleEntries = pageEntries

    /// How many of `count` entries, whose attributes are to be fetched, the next trip is for.
    public static func attributeEntries(of count: Int) -> Int {
        count <= indivisibleEntries ? count : attributeEntries
    }

    /// A page of at most so many entries comes with what they name: two trips would cost more.
    static let followedEntries = 32

    /// Where the next page of names begins, if one is wanted.
    public var cursor: UInt64?
    /// Whether a small page is to come with what it names.
    public var followsSmallPage: Bool
    /// What entries that came before name.
    public var inodes: [ListedInode]

    public init(cursor: UInt64?, followsSmallPage: Bool, inodes: [ListedInode]) {
        self.cursor = cursor
        self.followsSmallPage = followsSmallPage
        self.inodes = inodes
    }
}

extension VolumeStore {
    /// One trip: a page of names, the records of inodes that a page before has named (`nil` for one that is
    /// gone or damaged), or both. So a listing of n entries with attributes costs a trip for each half page
    /// and one more, and names only as many as there are pages.
    ///
    /// An entry that is there throughout a walk comes at least once, and can come twice.
    public func list(
        _ directory: InodeID, _ request: ListingRequest
    ) throws(Errno) -> (page: DirectoryPage?, records: [InodeRecord?]) {
        let key = schema.directory(directory)
        var reads: [Read] = []
        if let cursor = request.cursor {
            reads.append(
                request.followsSmallPage
                    ? .followPage(
                        key: key, cursor: cursor, limit: ListingRequest.pageEntries,
                        prefix: schema.inodePrefix, atMost: ListingRequest.followedEntries)
                    : .page(key: key, cursor: cursor, limit: ListingRequest.pageEntries))
        }
        if !request.inodes.isEmpty {
            reads.append(.hashes(keys: request.inodes.map { schema.inode($0.id) }))
        }
        var page: DirectoryPage?
        var records: [InodeRecord?] = []
        for answer in try read(reads) {
            switch answer {
            case .page(let next, let pairs): page = parsedPage(next, pairs, nil, key)
            case .followedPage(let next, let pairs, let targets):
                page = parsedPage(next, pairs, targets, key)
            case .hashes(let list):
                guard list.count == request.inodes.count else { throw answerMismatch() }
                records = request.inodes.enumerated().map { index, inode in
                    intactRecord { () throws(Errno) in
                        list.isEmpty(at: index)
                            ? nil
                            : try parsedRecord(
                                list, at: index,
                                of: EntryValue(inode: inode.id, kind: inode.kind))
                    }
                }
            case .value, .values, .pairs, .count, .followed, .members, .time, .existing, .keys:
                throw answerMismatch()
            }
        }
        return (page, records)
    }

    private func parsedPage(
        _ next: UInt64, _ pairs: [Pair], _ targets: [[Pair]]?, _ key: Bytes
    ) -> DirectoryPage {
        var page = DirectoryPage(next: next, entries: [], records: targets.map { _ in [] })
        page.entries.reserveCapacity(pairs.count)
        for (index, pair) in pairs.enumerated() {
            // A damaged entry hides itself only: the rest of the directory stays usable.
            do throws(Errno) {
                let entry = try parsedEntry(pair.value, key)
                page.entries.append(
                    DirectoryPage.Entry(name: pair.field, inode: entry.inode, kind: entry.kind))
                guard let target = targets?[index] else { continue }
                page.records?.append(
                    intactRecord { () throws(Errno) in
                        target.isEmpty ? nil : try parsedRecord(HashList(target), at: 0, of: entry)
                    })
            } catch {
                continue
            }
        }
        return page
    }

    private func intactRecord(
        _ parse: () throws(Errno) -> InodeRecord?
    ) -> InodeRecord? {
        do throws(Errno) {
            return try parse()
        } catch {
            return nil
        }
    }
}
