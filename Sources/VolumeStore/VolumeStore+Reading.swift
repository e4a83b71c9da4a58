public import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

/// A part of a directory.
public struct DirectoryPage: Sendable {
    public struct Entry: Sendable {
        public var name: [UInt8]
        public var inode: InodeID
        public var kind: FileKind
        /// `nil` when the inode is damaged or gone: the name can be listed and removed.
        public var record: InodeRecord?

        public init(name: [UInt8], inode: InodeID, kind: FileKind, record: InodeRecord?) {
            self.name = name
            self.inode = inode
            self.kind = kind
            self.record = record
        }
    }

    /// Where the next page begins; 0 at the end.
    public var next: UInt64
    public var entries: [Entry]
}

extension VolumeStore {
    /// One trip. ENOENT when the name is not there, EIO when what it names is not.
    public func lookup(parent: InodeID, name: [UInt8]) throws(Errno) -> InodeRecord {
        guard let record = try find(parent: parent, name: name) else { throw .noEntry }
        return record
    }

    /// As `lookup`, `nil` for a name that is not there.
    func find(parent: InodeID, name: [UInt8]) throws(Errno) -> InodeRecord? {
        let key = schema.directory(parent)
        let answers = try read([.follow(key: key, field: name, prefix: schema.inodePrefix)])
        guard case .followed(let value, let target) = answers[0] else { throw answerMismatch() }
        guard let value else { return nil }
        let entry = try parsedEntry(value, key)
        guard !target.isEmpty else { throw malformed(key, "an entry names no inode") }
        return try parsedRecord(target, of: entry)
    }

    /// One trip. ESTALE when the inode is gone.
    public func record(of inode: InodeID) throws(Errno) -> InodeRecord {
        guard let record = try records(of: [inode])[0] else { throw .stale }
        return record
    }

    /// One trip; `nil` for each inode that is gone.
    public func records(of inodes: [InodeID]) throws(Errno) -> [InodeRecord?] {
        guard !inodes.isEmpty else { return [] }
        let answers = try read(inodes.map { .allFields(key: schema.inode($0)) })
        var records: [InodeRecord?] = []
        records.reserveCapacity(inodes.count)
        for (inode, answer) in zip(inodes, answers) {
            guard case .pairs(let pairs) = answer else { throw answerMismatch() }
            if pairs.isEmpty {
                known.forget(inode)
                records.append(nil)
            } else {
                records.append(try parsedRecord(pairs, id: inode))
            }
        }
        return records
    }

    /// One trip: about `limit` names behind `cursor` (0: from the start), with what they name.
    ///
    /// An entry that is there throughout a walk comes at least once, and can come twice.
    public func page(
        of directory: InodeID, cursor: UInt64, limit: Int
    ) throws(Errno) -> DirectoryPage {
        let key = schema.directory(directory)
        let answers = try read([
            .followPage(key: key, cursor: cursor, limit: limit, prefix: schema.inodePrefix)
        ])
        guard case .followedPage(let next, let pairs, let targets) = answers[0],
            pairs.count == targets.count
        else { throw answerMismatch() }
        var entries: [DirectoryPage.Entry] = []
        entries.reserveCapacity(pairs.count)
        for (pair, target) in zip(pairs, targets) {
            // A damaged entry hides itself only: the rest of the directory stays usable.
            do throws(Errno) {
                let entry = try parsedEntry(pair.value, key)
                entries.append(
                    DirectoryPage.Entry(
                        name: pair.field, inode: entry.inode, kind: entry.kind,
                        record: intactRecord(target, of: entry)))
            } catch {
                continue
            }
        }
        return DirectoryPage(next: next, entries: entries)
    }

    private func intactRecord(_ pairs: [Pair], of entry: EntryValue) -> InodeRecord? {
        guard !pairs.isEmpty else { return nil }
        do throws(Errno) {
            return try parsedRecord(pairs, of: entry)
        } catch {
            return nil
        }
    }

    func parsedEntry(_ value: Bytes, _ key: Bytes) throws(Errno) -> EntryValue {
        do throws(FormatError) {
            return try EntryValue(parsing: value)
        } catch {
            throw malformed(key, error.what)
        }
    }

    private func parsedRecord(_ pairs: [Pair], of entry: EntryValue) throws(Errno) -> InodeRecord {
        let record = try parsedRecord(pairs, id: entry.inode)
        guard record.kind == entry.kind else {
            throw malformed(schema.inode(entry.inode), "an entry says another type than its inode")
        }
        return record
    }

    private func parsedRecord(_ pairs: [Pair], id: InodeID) throws(Errno) -> InodeRecord {
        do throws(FormatError) {
            var record = try InodeRecord(parsing: pairs, id: id)
            record.extenderCrashed = membership.hasCrashed(record.extender)
            known.note(record)
            return record
        } catch {
            throw malformed(schema.inode(id), error.what)
        }
    }
}
