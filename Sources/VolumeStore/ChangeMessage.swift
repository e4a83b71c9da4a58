import FileSystem
import KeyValue
public import Primitives

/// What another mount changed.
public enum RemoteChange: Hashable, Sendable {
    case attributes(InodeID)
    case entry(parent: InodeID, name: [UInt8])
    case data(InodeID, DataID, blocks: Range<UInt64>)
    /// The last name went. A mount that has the inode open claims it: `VolumeStore.claimOrphan(_:)`.
    case removed(InodeID)
    /// Changes may have been missed: nothing cached can be believed.
    case everything
    /// A session joined or left.
    case sessions
    /// A request that waited for a lock has it now: that of `session` with this ticket.
    case lockGranted(InodeID, SessionID, ticket: UInt64)
}

/// The message of one batch on the volume's channel (docs/FORMAT.md, "Change messages").
struct ChangeMessage: Hashable {
    static let version: UInt8 = 1
    /// No batch changes more at once; a longer message is not believed.
    static let maximumChanges = 16

    var session: SessionID
    var changes: [RemoteChange]

    init(session: SessionID, changes: [RemoteChange]) {
        self.session = session
        self.changes = changes
    }

    var stored: Bytes {
        var result: Bytes = [Self.version]
        result.reserveCapacity(48)
        result.appendVariable(session.rawValue)
        for change in changes {
            switch change {
            case .attributes(let inode):
                result.append(UInt8(ascii: "a"))
                result.appendVariable(inode.rawValue)
            case .entry(let parent, let name):
                result.append(UInt8(ascii: "e"))
                result.appendVariable(parent.rawValue)
                result.appendVariable(UInt64(name.count))
                result.append(contentsOf: name)
            case .data(let inode, let data, let blocks):
                result.append(UInt8(ascii: "d"))
                result.appendVariable(inode.rawValue)
                result.appendVariable(data.rawValue)
                result.appendVariable(blocks.lowerBound)
                result.appendVariable(UInt64(blocks.count))
            case .removed(let inode):
                result.append(UInt8(ascii: "r"))
                result.appendVariable(inode.rawValue)
            case .sessions: result.append(UInt8(ascii: "s"))
            case .lockGranted(let inode, let session, let ticket):
                result.append(UInt8(ascii: "l"))
                result.appendVariable(inode.rawValue)
                result.appendVariable(session.rawValue)
                result.appendVariable(ticket)
            case .everything: result.append(UInt8(ascii: "*"))
            }
        }
        return result
    }

    init(parsing message: some Collection<UInt8>) throws(FormatError) {
        var rest = MessageReader(Bytes(message))
        guard try rest.byte() == Self.version else {
            throw FormatError("a change message of another version")
        }
        session = SessionID(try rest.variable())
        changes = []
        while !rest.isAtEnd {
            guard changes.count < Self.maximumChanges else {
                throw FormatError("a change message of too many changes")
            }
            changes.append(try rest.change())
        }
    }

    /// Splits what arrives on the channel: `<number> <message>`.
    static func parseNumbered(
        _ payload: Bytes
    ) throws(FormatError) -> (number: UInt64, message: ChangeMessage) {
        guard let space = payload.firstIndex(of: UInt8(ascii: " ")),
            let number = UInt64(decimal: payload[..<space])
        else { throw FormatError("a change message without a number") }
        return (number, try ChangeMessage(parsing: payload[(space + 1)...]))
    }
}

/// Takes a message apart from its start.
struct MessageReader {
    private let bytes: Bytes
    private var position = 0

    init(_ bytes: Bytes) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() throws(FormatError) -> UInt8 {
        guard position < bytes.count else { throw FormatError("a change message that ends early") }
        defer { position += 1 }
        return bytes[position]
    }

    /// Seven bits a byte, lowest first; the eighth says that more follow.
    mutating func variable() throws(FormatError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return value }
        }
        throw FormatError("a number that is too long")
    }

    mutating func inode() throws(FormatError) -> InodeID { InodeID(try variable()) }

    mutating func change() throws(FormatError) -> RemoteChange {
        switch try byte() {
        case UInt8(ascii: "a"): return .attributes(try inode())
        case UInt8(ascii: "e"):
            let parent = try inode()
            let count = try variable()
            guard count <= UInt64(FileName.maximumByteCount), Int(count) <= bytes.count - position
            else { throw FormatError("a name that is too long") }
            defer { position += Int(count) }
            return .entry(
                parent: parent, name: Bytes(bytes[position..<position + Int(count)]))
        case UInt8(ascii: "d"):
            let inode = try inode()
            let data = DataID(try variable())
            let start = try variable()
            let count = try variable()
            guard start <= RecordLimits.blocks, count <= RecordLimits.blocks else {
                throw FormatError("a range of blocks that is too long")
            }
            return .data(inode, data, blocks: start..<start + count)
        case UInt8(ascii: "r"): return .removed(try inode())
        case UInt8(ascii: "s"): return .sessions
        case UInt8(ascii: "l"):
            return .lockGranted(
                try inode(), SessionID(try variable()), ticket: try variable())
        case UInt8(ascii: "*"): return .everything
        default: throw FormatError("a change of unknown kind")
        }
    }
}

extension Bytes {
    mutating func appendVariable(_ value: UInt64) {
        precondition(value < 1 << 63, "numbers in messages have at most 63 bits")
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }
}
