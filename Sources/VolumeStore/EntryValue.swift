import FileSystem
import KeyValue
import Primitives

/// The value of a name in a directory's hash: `<ino>:<letter>`.
struct EntryValue: Hashable {
    var inode: InodeID
    var kind: FileKind

    init(inode: InodeID, kind: FileKind) {
        self.inode = inode
        self.kind = kind
    }

    init(_ record: InodeRecord) { self.init(inode: record.id, kind: record.kind) }

    init(parsing value: Bytes) throws(FormatError) {
        guard value.count >= 3, value[value.count - 2] == UInt8(ascii: ":"),
            let number = UInt64(decimal: value.dropLast(2)),
            (1...RecordLimits.number).contains(number),
            let kind = FileKind(entryLetter: value[value.count - 1])
        else { throw FormatError("a directory entry is no <ino>:<type>") }
        self.init(inode: InodeID(number), kind: kind)
    }

    var stored: Bytes {
        var result = Bytes(decimal: inode.rawValue)
        result.append(UInt8(ascii: ":"))
        result.append(kind.entryLetter)
        return result
    }
}

extension FileKind {
    /// The letter of find(1)'s `-type`.
    var entryLetter: UInt8 {
        switch self {
        case .regular: UInt8(ascii: "f")
        case .directory: UInt8(ascii: "d")
        case .symbolicLink: UInt8(ascii: "l")
        case .fifo: UInt8(ascii: "p")
        case .socket: UInt8(ascii: "s")
        case .characterDevice: UInt8(ascii: "c")
        case .blockDevice: UInt8(ascii: "b")
        }
    }

    init?(entryLetter: UInt8) {
        guard let kind = FileKind.allCases.first(where: { $0.entryLetter == entryLetter }) else {
            return nil
        }
        self = kind
    }
}
