import FileSystem
import KeyValue
import Primitives

/// Makes a record that can be read of what is left of one.
struct RecordMender {
    let inode: InodeID
    /// What its names say that it is.
    var namedKind: FileKind?
    /// One more than the index of the last block that is stored under its number; 0 for none.
    var blocksOfOwnNumber: UInt64 = 0
    let blockSize: BlockSize
    let now: Timestamp

    /// All fields of the mended hash; `nil` when nobody can tell what the inode was.
    ///
    /// Fields that can be read stay. What is missing becomes: permissions of its owner alone, one link (two
    /// for a directory), the times of now, the data id that new files have, and the size of the blocks.
    func mended(_ pairs: [Pair]) -> [Pair]? {
        var fields = readable(pairs)
        // Nobody knows whether the tail is clear: whoever extends the file clears it.
        if pairs.contains(where: { $0.field == Field.tail }), fields[Field.tail] == nil {
            fields[Field.tail] = Field.one
        }
        guard let kind = kind(fields) else { return nil }
        if fields[Field.mode] == nil {
            let permissions: UInt32 = kind == .directory ? 0o700 : 0o600
            fields[Field.mode] = Bytes(decimal: UInt64(kind.modeBits | permissions))
        }
        if fields[Field.links] == nil {
            fields[Field.links] = kind == .directory ? [UInt8(ascii: "2")] : Field.one
        }
        for time in [Field.accessTime, Field.modificationTime, Field.changeTime]
        where fields[time] == nil {
            fields[time] = Bytes(decimal: now.nanoseconds)
        }
        fields[Field.nameless] = fields[Field.links] == [UInt8(ascii: "0")] ? Field.one : nil
        suit(kind, &fields)
        let result = fields.map { Pair($0.key, $0.value) }
        do throws(FormatError) {
            _ = try InodeRecord(parsing: result, id: inode)
            return result
        } catch {
            return nil
        }
    }

    /// Whether this was a symbolic link.
    func isLink(_ pairs: [Pair]) -> Bool { kind(readable(pairs)) == .symbolicLink }

    private func readable(_ pairs: [Pair]) -> [Bytes: Bytes] {
        var fields: [Bytes: Bytes] = [:]
        for pair in pairs where isReadable(pair) { fields[pair.field] = pair.value }
        return fields
    }

    private func isReadable(_ pair: Pair) -> Bool {
        var fields = InodeFields()
        do throws(FormatError) {
            try HashList([pair]).forEachPair(at: 0) { field, value throws(FormatError) in
                try fields.take(field, value)
            }
        } catch {
            return false
        }
        guard let mode = fields.mode else { return true }
        return mode & 0o170000 != 0 && FileKind(mode: UInt32(mode)) != nil
    }

    private func kind(_ fields: [Bytes: Bytes]) -> FileKind? {
        if let mode = fields[Field.mode].flatMap({ UInt64(decimal: $0) }) {
            return FileKind(mode: UInt32(mode))
        }
        if let namedKind { return namedKind }
        if fields[Field.data] != nil { return .regular }
        if fields[Field.parent] != nil { return .directory }
        return fields[Field.target] == nil ? nil : .symbolicLink
    }

    private func suit(_ kind: FileKind, _ fields: inout [Bytes: Bytes]) {
        if kind != .directory { fields[Field.parent] = nil }
        if kind != .symbolicLink { fields[Field.target] = nil }
        guard kind == .regular else {
            for field in [
                Field.size, Field.data, Field.alloc, Field.dense, Field.stored, Field.tail,
                Field.extender,
            ] { fields[field] = nil }
            if kind == .directory, fields[Field.parent] == nil {
                fields[Field.parent] = Bytes(decimal: InodeID.root.rawValue)
            }
            return
        }
        if fields[Field.data] == nil { fields[Field.data] = Bytes(decimal: inode.rawValue) }
        let blocks = max(1, blocksOfOwnNumber)
        let alloc = fields[Field.alloc].flatMap { UInt64(decimal: $0) } ?? blocks
        let dense = fields[Field.dense].flatMap { UInt64(decimal: $0) } ?? 0
        fields[Field.alloc] = Bytes(decimal: max(alloc, dense))
        if fields[Field.size] == nil, blocksOfOwnNumber > 0 {
            let (bytes, overflow) = blocksOfOwnNumber.multipliedReportingOverflow(
                by: UInt64(blockSize.bytes))
            let size = overflow ? FileOffset.maximum.bytes : min(bytes, FileOffset.maximum.bytes)
            fields[Field.size] = Bytes(decimal: size)
        }
    }
}
