import KeyValue
import Primitives

/// A member of the garbage list (docs/FORMAT.md, "Garbage").
enum GarbageItem: Hashable {
    /// `d<data>:<from>:<to>`: blocks that no record names any more.
    case blocks(DataID, Range<UInt64>)
    /// `a<data>`: the chunk hash of a data id, and the blocks in the chunks that it names.
    case chunks(DataID)
    /// `i<ino>`: an inode without names, which goes when no session holds it open.
    case inode(InodeID)
    /// `t<ino>`: a file that was cut; what lies behind its end is to be cleared.
    case tail(InodeID)

    init(parsing name: Bytes) throws(FormatError) {
        let digits = name.dropFirst()
        let error = FormatError("a member of the garbage list that is none")
        switch name.first {
        case UInt8(ascii: "d"):
            let parts = digits.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard parts.count == 3, let data = Self.number(parts[0]),
                let from = UInt64(decimal: parts[1]), let to = UInt64(decimal: parts[2]),
                from < to, to <= RecordLimits.blocks
            else { throw error }
            self = .blocks(DataID(data), from..<to)
        case UInt8(ascii: "a"):
            guard let data = Self.number(digits) else { throw error }
            self = .chunks(DataID(data))
        case UInt8(ascii: "i"):
            guard let inode = Self.number(digits) else { throw error }
            self = .inode(InodeID(inode))
        case UInt8(ascii: "t"):
            guard let inode = Self.number(digits) else { throw error }
            self = .tail(InodeID(inode))
        default: throw error
        }
    }

    private static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
        guard let number = UInt64(decimal: text), (1...RecordLimits.number).contains(number) else {
            return nil
        }
        return number
    }

    var stored: Bytes {
        var result: Bytes
        switch self {
        case .blocks(let data, let range):
            result = [UInt8(ascii: "d")]
            result.appendDecimal(data.rawValue)
            result.append(UInt8(ascii: ":"))
            result.appendDecimal(range.lowerBound)
            result.append(UInt8(ascii: ":"))
            result.appendDecimal(range.upperBound)
        case .chunks(let data):
            result = [UInt8(ascii: "a")]
            result.appendDecimal(data.rawValue)
        case .inode(let inode):
            result = [UInt8(ascii: "i")]
            result.appendDecimal(inode.rawValue)
        case .tail(let inode):
            result = [UInt8(ascii: "t")]
            result.appendDecimal(inode.rawValue)
        }
        return result
    }

    /// What becomes garbage with the data of `record`.
    static func data(of record: InodeRecord) -> [GarbageItem] {
        guard record.data.rawValue != 0, record.allocatedBlocks > 0 else { return [] }
        var items: [GarbageItem] = []
        let dense = record.denseBlocks ?? record.allocatedBlocks
        if dense > 0 { items.append(.blocks(record.data, 0..<dense)) }
        if record.denseBlocks != nil { items.append(.chunks(record.data)) }
        return items
    }
}
