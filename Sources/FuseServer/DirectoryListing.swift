import CFuse
import FileSystem
import Glibc
import Primitives

/// Fills the answer to READDIR or READDIRPLUS in memory that is lent to it.
///
/// Records are `fuse_dirent` (READDIR) or `fuse_direntplus`, each padded to 8 bytes (linux/fuse.h).
struct DirectoryListing {
    enum Result: Equatable {
        case taken
        case full
        /// No name that a directory can hold: the kernel would refuse the whole answer with EIO.
        case unusable
    }

    // SAFETY: lent for the length of the request; every store is checked against its size.
    private let memory: UnsafeMutableRawBufferPointer
    private let withAttributes: Bool
    private(set) var byteCount = 0

    init(_ memory: UnsafeMutableRawBufferPointer, withAttributes: Bool) {
        self.memory = memory
        self.withAttributes = withAttributes
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<byteCount]) }

    mutating func append(_ entry: DirectoryEntry) -> Result {
        guard isUsable(entry.name) else { return .unusable }
        let recordBytes = (headBytes + entry.name.bytes.count + 7) & ~7
        guard memory.count - byteCount >= recordBytes else { return .full }
        let record = UnsafeMutableRawBufferPointer(
            rebasing: memory[byteCount..<byteCount + recordBytes])
        if withAttributes { record.storeBytes(of: entryPart(of: entry), as: fuse_entry_out.self) }
        var head = fuse_dirent()
        head.ino = entry.inode.rawValue
        head.off = entry.cookie
        head.namelen = UInt32(entry.name.bytes.count)
        head.type = UInt32(entry.kind.directoryType)
        withUnsafeBytes(of: &head) { head in
            UnsafeMutableRawBufferPointer(rebasing: record[entryBytes...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: head[..<Self.direntHeadBytes]))
        }
        let nameEnd = headBytes + entry.name.bytes.count
        UnsafeMutableRawBufferPointer(rebasing: record[headBytes...]).copyMemory(
            from: entry.name.bytes)
        for index in nameEnd..<recordBytes { record[index] = 0 }
        byteCount += recordBytes
        return .taken
    }

    /// The inode of which an entry that was taken counts a kernel reference.
    func reference(of entry: DirectoryEntry) -> InodeID? {
        guard withAttributes, !Self.isDot(entry.name) else { return nil }
        return entry.answer?.attributes.inode
    }

    /// Calls `body` with the inode of each record that counts a kernel reference.
    func forEachReference(_ body: (InodeID) -> Void) {
        guard withAttributes else { return }
        var position = 0
        while position + headBytes <= byteCount {
            let part = bytes.loadUnaligned(fromByteOffset: position, as: fuse_entry_out.self)
            if part.nodeid != 0 { body(InodeID(part.nodeid)) }
            let nameBytes = bytes.loadUnaligned(
                fromByteOffset: position + entryBytes + Self.nameLengthOffset, as: UInt32.self)
            position += (headBytes + Int(nameBytes) + 7) & ~7
        }
    }

    /// `.` and `..`, and entries whose attributes are not at hand, get inode 0 in this part: the kernel
    /// then makes no inode and counts no reference.
    private func entryPart(of entry: DirectoryEntry) -> fuse_entry_out {
        if let answer = entry.answer, !Self.isDot(entry.name) { return fuse_entry_out(answer) }
        var part = fuse_entry_out()
        part.attr.ino = entry.inode.rawValue
        part.attr.mode = entry.kind.modeBits
        return part
    }

    static func isDot(_ name: FileName) -> Bool {
        let dot = UInt8(ascii: ".")
        return switch name.bytes.count {
        case 1: name.bytes[0] == dot
        case 2: name.bytes[0] == dot && name.bytes[1] == dot
        default: false
        }
    }

    private func isUsable(_ name: FileName) -> Bool {
        guard (1...FileName.maximumByteCount).contains(name.bytes.count),
            let first = name.bytes.baseAddress
        else { return false }
        return memchr(first, Int32(UInt8(ascii: "/")), name.bytes.count) == nil
    }

    /// `fuse_dirent` up to its name.
    private static let direntHeadBytes = 24
    /// `namelen` in it.
    private static let nameLengthOffset = 16
    private var entryBytes: Int { withAttributes ? MemoryLayout<fuse_entry_out>.size : 0 }
    private var headBytes: Int { entryBytes + Self.direntHeadBytes }
}
