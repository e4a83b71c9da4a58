import KeyValue
import Primitives

/// What a key of a volume is for, by its name (docs/FORMAT.md, the table at its head).
enum VolumeKey: Hashable {
    case volume
    case inode(InodeID)
    case directory(InodeID)
    case xattrs(InodeID)
    case locks(InodeID)
    case chunks(DataID)
    case session(SessionID)
    case orphans(SessionID)
    /// Which locks a session holds or waits for.
    case sessionLocks(SessionID)
    case sessions
    case crashed
    case garbage
    case unknown

    /// `key` begins with the volume's `{V}`.
    init(_ key: Bytes, _ schema: Schema) {
        let rest = key.dropFirst(schema.volume.count)
        guard let letter = rest.first else {
            self = .volume
            return
        }
        guard rest.count > 1 else {
            switch letter {
            case UInt8(ascii: "s"): self = .sessions
            case UInt8(ascii: "k"): self = .crashed
            case UInt8(ascii: "g"): self = .garbage
            default: self = .unknown
            }
            return
        }
        guard let number = UInt64(decimal: rest.dropFirst()),
            (1...RecordLimits.number).contains(number)
        else {
            self = .unknown
            return
        }
        switch letter {
        case UInt8(ascii: "i"): self = .inode(InodeID(number))
        case UInt8(ascii: "d"): self = .directory(InodeID(number))
        case UInt8(ascii: "x"): self = .xattrs(InodeID(number))
        case UInt8(ascii: "l"): self = .locks(InodeID(number))
        case UInt8(ascii: "a"): self = .chunks(DataID(number))
        case UInt8(ascii: "s"): self = .session(SessionID(number))
        case UInt8(ascii: "o"): self = .orphans(SessionID(number))
        case UInt8(ascii: "h"), UInt8(ascii: "w"): self = .sessionLocks(SessionID(number))
        default: self = .unknown
        }
    }
}

extension Schema {
    /// The address in a block's key; `nil` for a key that is none.
    func address(ofBlock key: Bytes) -> BlockAddress? {
        let parts = key.dropFirst(blockKeyPrefix.count).dropLast()
            .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard key.last == UInt8(ascii: "}"), parts.count == 2,
            let data = UInt64(decimal: parts[0]), (1...RecordLimits.number).contains(data),
            let index = UInt64(decimal: parts[1]), index < RecordLimits.blocks
        else { return nil }
        return BlockAddress(data: DataID(data), index: BlockIndex(index))
    }
}
