import Primitives

/// A POSIX access control list (acl(5)), in the order and with the numbers of its extended attribute
/// (linux/posix_acl_xattr.h, version 2): the form in which the kernel sets it, asks for it and enforces it.
///
/// A value: what chmod, umask and inheritance do to it is decided here (POSIX 1003.1e draft 17, 23.1).
struct AccessList: Equatable {
    /// Whom an entry is about.
    enum Tag: UInt16 {
        case owner = 0x01
        case user = 0x02
        case owningGroup = 0x04
        case group = 0x08
        case mask = 0x10
        case others = 0x20
    }

    struct Entry: Equatable {
        var tag: Tag
        /// Read 4, write 2, execute 1.
        var permissions: UInt32
        /// Of `user` and `group`; else 2^32 − 1.
        var id: UInt32
    }

    static let accessName = [UInt8]("system.posix_acl_access".utf8)
    static let defaultName = [UInt8]("system.posix_acl_default".utf8)

    static func isName(_ name: [UInt8]) -> Bool { name == accessName || name == defaultName }

    private(set) var entries: [Entry]

    private static let headerBytes = 4
    private static let entryBytes = 8
    private static let version: UInt32 = 2

    /// The list that permission bits alone say.
    init(mode: UInt32) {
        entries = [
            Entry(tag: .owner, permissions: mode >> 6 & 7, id: .max),
            Entry(tag: .owningGroup, permissions: mode >> 3 & 7, id: .max),
            Entry(tag: .others, permissions: mode & 7, id: .max),
        ]
    }

    /// `nil` for a value that holds no entries: no list. EINVAL for one that is no valid list
    /// (acl_valid(3)); EOPNOTSUPP for another version.
    init?(parsing value: some RandomAccessCollection<UInt8>) throws(Errno) {
        let bytes = Array(value)
        guard bytes.count >= Self.headerBytes,
            (bytes.count - Self.headerBytes).isMultiple(of: Self.entryBytes)
        else { throw .invalid }
        func number(_ offset: Int, _ count: Int) -> UInt32 {
            (0..<count).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
        }
        guard number(0, 4) == Self.version else { throw .notSupported }
        var entries: [Entry] = []
        for offset in stride(from: Self.headerBytes, to: bytes.count, by: Self.entryBytes) {
            guard let tag = Tag(rawValue: UInt16(number(offset, 2))), number(offset + 2, 2) <= 7
            else { throw .invalid }
            entries.append(
                Entry(tag: tag, permissions: number(offset + 2, 2), id: number(offset + 4, 4)))
        }
        guard !entries.isEmpty else { return nil }
        guard Self.isValid(entries) else { throw .invalid }
        self.entries = entries
    }

    /// Owner, named users, owning group, named groups, mask (if anyone is named), others: in this order.
    private static func isValid(_ entries: [Entry]) -> Bool {
        func count(_ tag: Tag) -> Int { entries.count { $0.tag == tag } }
        let isAscending = zip(entries, entries.dropFirst()).allSatisfy {
            $0.tag.rawValue <= $1.tag.rawValue
        }
        let isNamed = count(.user) + count(.group) > 0
        return isAscending && count(.owner) == 1 && count(.owningGroup) == 1
            && count(.others) == 1 && count(.mask) <= 1 && (!isNamed || count(.mask) == 1)
            && entries.allSatisfy { entry in
                switch entry.tag {
                case .user, .group: entry.id != .max
                case .owner, .owningGroup, .mask, .others: true
                }
            }
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        func append(_ number: UInt32, _ count: Int) {
            for shift in 0..<count {
                bytes.append(UInt8(truncatingIfNeeded: number >> (8 * UInt32(shift))))
            }
        }
        append(Self.version, 4)
        for entry in entries {
            append(UInt32(entry.tag.rawValue), 2)
            append(entry.permissions, 2)
            append(entry.id, 4)
        }
        return bytes
    }

    /// It says no more than permission bits do.
    var isMinimal: Bool { entries.count == 3 }

    /// The nine permission bits that stand for it: those of the group are the mask, if there is one.
    var mode: UInt32 {
        var mode: UInt32 = 0
        for entry in entries {
            switch entry.tag {
            case .owner: mode |= entry.permissions << 6
            case .owningGroup: if !hasMask { mode |= entry.permissions << 3 }
            case .mask: mode |= entry.permissions << 3
            case .others: mode |= entry.permissions
            case .user, .group: break
            }
        }
        return mode
    }

    private var hasMask: Bool { entries.contains { $0.tag == .mask } }

    /// What chmod(2) makes of it: the group's bits go to the mask, if there is one.
    mutating func changeMode(to mode: UInt32) {
        let hasMask = hasMask
        for index in entries.indices {
            switch entries[index].tag {
            case .owner: entries[index].permissions = mode >> 6 & 7
            case .owningGroup: if !hasMask { entries[index].permissions = mode >> 3 & 7 }
            case .mask: entries[index].permissions = mode >> 3 & 7
            case .others: entries[index].permissions = mode & 7
            case .user, .group: break
            }
        }
    }

    /// The list of a new inode whose directory has this default list: what the creator's `mode` does not
    /// allow is taken away. Its `mode` is the new inode's.
    func inherited(mode: UInt32) -> AccessList {
        var list = self
        list.changeMode(to: mode & self.mode)
        return list
    }
}
