import FileSystem
import KeyValue
import Primitives

// The stored form of a lock table: docs/FORMAT.md, "Locks".
extension LockTable {
    private static let version: UInt8 = 1
    private static let exclusive: UInt8 = 1
    private static let wholeFile: UInt8 = 2
    private static let waits: UInt8 = 4

    var stored: Bytes {
        var result: Bytes = [Self.version]
        result.reserveCapacity(1 + 32 * (held.count + waiting.count))
        for lock in held { Self.append(lock, flags: 0, to: &result) }
        for request in waiting {
            Self.append(request.lock, flags: Self.waits, to: &result)
            result.appendVariable(request.ticket)
        }
        return result
    }

    private static func append(_ lock: Held, flags: UInt8, to result: inout Bytes) {
        var flags = flags
        if lock.mode == .exclusive { flags |= exclusive }
        if lock.owner.family == .wholeFile { flags |= wholeFile }
        result.append(flags)
        result.appendVariable(lock.owner.session.rawValue)
        for shift in stride(from: 0, to: 64, by: 8) {
            result.append(UInt8(truncatingIfNeeded: lock.owner.number >> UInt64(shift)))
        }
        result.appendVariable(UInt64(UInt32(bitPattern: lock.processID)))
        result.appendVariable(lock.range.lowerBound)
        result.appendVariable(lock.range.upperBound)
    }

    init(parsing value: Bytes) throws(FormatError) {
        var rest = MessageReader(value)
        guard try rest.byte() == Self.version else {
            throw FormatError("locks of another version")
        }
        while !rest.isAtEnd {
            guard held.count + waiting.count < Self.maximumEntries else {
                throw FormatError("too many locks")
            }
            let flags = try rest.byte()
            guard flags < 8 else { throw FormatError("a lock of unknown kind") }
            let lock = try rest.lock(flags)
            if flags & Self.waits != 0 {
                waiting.append(Waiting(lock: lock, ticket: try rest.variable()))
            } else {
                held.append(lock)
            }
        }
    }

    fileprivate static func family(_ flags: UInt8) -> LockFamily {
        flags & wholeFile != 0 ? .wholeFile : .record
    }

    fileprivate static func mode(_ flags: UInt8) -> LockMode {
        flags & exclusive != 0 ? .exclusive : .shared
    }
}

extension MessageReader {
    fileprivate mutating func lock(_ flags: UInt8) throws(FormatError) -> LockTable.Held {
        let session = SessionID(try variable())
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            number |= UInt64(try byte()) << shift
        }
        guard let process = UInt32(exactly: try variable()) else {
            throw FormatError("a process number that is too large")
        }
        let first = try variable()
        let last = try variable()
        guard first <= last else { throw FormatError("a lock that ends before it begins") }
        return LockTable.Held(
            owner: LockOwner(
                session: session, family: LockTable.family(flags), number: number),
            mode: LockTable.mode(flags), range: first...last,
            processID: Int32(bitPattern: process))
    }
}

/// Where somebody waits: the value of a field of `{V}w<session>`, `<ino>:<owner>`.
struct StoredWait: Hashable {
    var inode: InodeID
    var owner: UInt64

    var stored: Bytes {
        Bytes(decimal: inode.rawValue) + [UInt8(ascii: ":")] + Bytes(decimal: owner)
    }

    init(inode: InodeID, owner: UInt64) {
        self.inode = inode
        self.owner = owner
    }

    init(parsing value: Bytes) throws(FormatError) {
        let parts = value.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 2, let inode = UInt64(decimal: parts[0]),
            let owner = UInt64(decimal: parts[1])
        else { throw FormatError("a wait that is none") }
        self.inode = InodeID(inode)
        self.owner = owner
    }
}
