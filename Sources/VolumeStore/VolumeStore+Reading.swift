import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

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
        return try parsedRecord(HashList(target), at: 0, of: entry)
    }

    /// One trip. ESTALE when the inode is gone.
    public func record(of inode: InodeID) throws(Errno) -> InodeRecord {
        guard let record = try records(of: [inode])[0] else { throw .stale }
        return record
    }

    /// One trip; `nil` for each inode that is gone.
    public func records(of inodes: [InodeID]) throws(Errno) -> [InodeRecord?] {
        guard !inodes.isEmpty else { return [] }
        let answers = try read([.hashes(keys: inodes.map { schema.inode($0) })])
        guard case .hashes(let list) = answers[0], list.count == inodes.count else {
            throw answerMismatch()
        }
        var records: [InodeRecord?] = []
        records.reserveCapacity(inodes.count)
        for (index, inode) in inodes.enumerated() {
            if list.isEmpty(at: index) {
                known.forget(inode)
                records.append(nil)
            } else {
                records.append(try parsedRecord(list, at: index, id: inode))
            }
        }
        return records
    }

    func parsedEntry(_ value: Bytes, _ key: Bytes) throws(Errno) -> EntryValue {
        do throws(FormatError) {
            return try EntryValue(parsing: value)
        } catch {
            throw malformed(key, error.what)
        }
    }

    func parsedRecord(
        _ list: HashList, at index: Int, of entry: EntryValue
    ) throws(Errno) -> InodeRecord {
        let record = try parsedRecord(list, at: index, id: entry.inode)
        guard record.kind == entry.kind else {
            throw malformed(schema.inode(entry.inode), "an entry says another type than its inode")
        }
        return record
    }

    func parsedRecord(
        _ list: HashList, at index: Int, id: InodeID
    ) throws(Errno) -> InodeRecord {
        do throws(FormatError) {
            var record = try InodeRecord(parsing: list, at: index, id: id)
            record.extenderCrashed = membership.hasCrashed(record.extender)
            known.note(record)
            return record
        } catch {
            throw malformed(schema.inode(id), error.what)
        }
    }
}
