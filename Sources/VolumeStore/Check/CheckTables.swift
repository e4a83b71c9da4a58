import FileSystem
import Primitives

/// What a walk has counted of one inode: few bytes, so that millions fit.
struct InodeTally {
    /// Names that were seen.
    var names: UInt32 = 0
    /// Entries for directories in it.
    var subdirectories: UInt32 = 0
    /// `n` of its record.
    var links: UInt32 = 0
    /// Of a directory: its `p`, exclusive-or each directory that names it. 0 when one does, the right
    /// one.
    var parentCheck: UInt64 = 0
    var flags: Flags = []
    /// The letter of its record's type, and of its names'; 0 when not seen.
    var recordLetter: UInt8 = 0
    var nameLetter: UInt8 = 0

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let hasRecord = Flags(rawValue: 1)
        static let isDamaged = Flags(rawValue: 2)
        static let hasEntries = Flags(rawValue: 4)
        static let hasAttributes = Flags(rawValue: 8)
        static let saysAttributes = Flags(rawValue: 16)
        /// Its names say different types.
        static let isAmbiguous = Flags(rawValue: 32)
    }

    mutating func take(_ record: InodeRecord) {
        guard !flags.contains(.hasRecord) else { return }
        flags.insert(.hasRecord)
        if record.hasXattrs { flags.insert(.saysAttributes) }
        links = record.linkCount
        recordLetter = record.kind.entryLetter
        if record.kind == .directory { parentCheck ^= record.parent.rawValue }
    }

    mutating func take(_ entry: EntryValue, in directory: InodeID) {
        names += 1
        let letter = entry.kind.entryLetter
        if nameLetter != 0, nameLetter != letter { flags.insert(.isAmbiguous) }
        nameLetter = letter
        if entry.kind == .directory { parentCheck ^= directory.rawValue }
    }

    /// Whether a closer look is needed.
    func isSuspicious(_ inode: InodeID, isReferenced: Bool) -> Bool {
        guard flags.contains(.hasRecord) else {
            return names > 0 || !flags.isDisjoint(with: [.isDamaged, .hasEntries, .hasAttributes])
        }
        if flags.contains(.isAmbiguous) || names > 0 && nameLetter != recordLetter { return true }
        if flags.contains(.hasAttributes), !flags.contains(.saysAttributes) { return true }
        if links == 0 { return names > 0 || !isReferenced }
        guard recordLetter == FileKind.directory.entryLetter else {
            return names != links || flags.contains(.hasEntries)
        }
        if links != 2 + subdirectories { return true }
        return inode == .root ? names != 0 : names != 1 || parentCheck != 0
    }
}

/// What a walk has counted of the blocks of one data id.
struct DataTally {
    var count: UInt64 = 0
    /// The greatest index.
    var last: UInt64 = 0
    /// The inode whose data it is; 0 when none was found.
    var owner: UInt64 = 0
    var hasChunks = false
}

/// The tables of one pass: those inodes and data ids whose number leaves `pass` when divided by
/// `passes`, so that a volume of any size is checked in bounded memory.
struct CheckTables {
    /// What an entry of each table takes, with the room that a dictionary leaves free.
    static let bytesPerInode: UInt64 = 80

    let pass: UInt64
    let passes: UInt64
    var inodes: [UInt64: InodeTally] = [:]
    var data: [UInt64: DataTally] = [:]

    static func passes(inodes: UInt64, memoryBytes: Int) -> UInt64 {
        let perPass = max(1, UInt64(memoryBytes) / bytesPerInode)
        return max(1, (inodes + perPass - 1) / perPass)
    }

    /// Things that need no table are judged in the first pass alone.
    var isFirst: Bool { pass == 0 }

    func contains(_ number: UInt64) -> Bool { number % passes == pass }
}
