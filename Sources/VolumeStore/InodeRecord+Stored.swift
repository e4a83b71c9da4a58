import Codecs
import FileSystem
import KeyValue
import Primitives

/// Limits that a stored record must keep.
enum RecordLimits {
    /// More block indexes than the largest file of the smallest blocks has.
    static let blocks = UInt64(Int64.max) / 4_096 + 2
    /// symlink(7): PATH_MAX without the NUL.
    static let targetBytes = 4_095
    /// Sums in the store stay exact up to here.
    static let number = UInt64(1) << 53
    /// Scans of the garbage list at the end of a session: 256 members each.
    static let scans = 1 << 16
    /// The frame of a block has 24 bits for it.
    static let epoch = UInt64(1) << 24
}

extension InodeRecord {
    /// Parses the fields of an inode's hash. Anything that this module does not write is an error.
    init(parsing pairs: [Pair], id: InodeID) throws(FormatError) {
        try self.init(parsing: HashList(pairs), at: 0, id: id)
    }

    /// The same for one of several hashes.
    init(parsing list: HashList, at index: Int, id: InodeID) throws(FormatError) {
        var fields = InodeFields()
        try list.forEachPair(at: index) { field, value throws(FormatError) in
            try fields.take(field, value)
        }
        let mode = try fields.required(\.mode, "m")
        guard mode <= 0o177777, mode & 0o170000 != 0, let kind = FileKind(mode: UInt32(mode)) else {
            throw FormatError("m is no mode")
        }
        self.init(
            id: id, kind: kind, permissions: UInt32(mode) & 0o7777,
            userID: UInt32(fields.user ?? 0), groupID: UInt32(fields.group ?? 0),
            linkCount: UInt32(try fields.required(\.links, "n")),
            size: fields.size ?? 0,
            accessTime: try fields.time(\.accessTime, "a"),
            modificationTime: try fields.time(\.modificationTime, "t"),
            changeTime: try fields.time(\.changeTime, "c"),
            device: UInt32(fields.device ?? 0), data: DataID(fields.data ?? 0),
            allocatedBlocks: fields.alloc ?? 0, denseBlocks: fields.dense,
            storedBlocks: UInt64(max(0, fields.stored ?? 0)), birthEpoch: fields.birth ?? 0,
            parent: InodeID(fields.parent ?? 0), target: fields.target ?? [],
            hasXattrs: fields.hasXattrs, tail: fields.tail ?? .clear,
            extender: SessionID(fields.extender ?? 0), codec: fields.codec)
        try checkConsistency(isNameless: fields.isNameless, hasTarget: fields.target != nil)
    }

    /// What must hold between the fields.
    private mutating func checkConsistency(isNameless: Bool, hasTarget: Bool) throws(FormatError) {
        if (kind == .regular) != (data.rawValue != 0) { throw FormatError("d does not suit m") }
        if (kind == .directory) != (parent.rawValue != 0) { throw FormatError("p does not suit m") }
        if (kind == .symbolicLink) != hasTarget { throw FormatError("y does not suit m") }
        if kind != .regular, size != 0 || allocatedBlocks != 0 || tail != .clear {
            throw FormatError("s, l or j does not suit m")
        }
        if let denseBlocks, denseBlocks > allocatedBlocks { throw FormatError("f is above l") }
        if storedBlocks > allocatedBlocks { storedBlocks = allocatedBlocks }
        if codec != nil, kind != .regular, kind != .directory {
            throw FormatError("o does not suit m")
        }
        if isNameless != (linkCount == 0) { throw FormatError("z does not suit n") }
        if kind == .symbolicLink { size = UInt64(target.count) }
    }

    /// The fields of a new inode's hash. Fields that are zero are left out.
    var storedFields: [Pair] {
        var pairs = [
            Pair(Field.mode, Bytes(decimal: UInt64(mode))),
            Pair(Field.links, Bytes(decimal: UInt64(linkCount))),
            Pair(Field.accessTime, Bytes(decimal: accessTime.nanoseconds)),
            Pair(Field.modificationTime, Bytes(decimal: modificationTime.nanoseconds)),
            Pair(Field.changeTime, Bytes(decimal: changeTime.nanoseconds)),
        ]
        func add(_ field: Bytes, _ value: UInt64) {
            if value != 0 { pairs.append(Pair(field, Bytes(decimal: value))) }
        }
        add(Field.user, UInt64(userID))
        add(Field.group, UInt64(groupID))
        add(Field.device, UInt64(device))
        add(Field.birth, birthEpoch)
        add(Field.data, data.rawValue)
        add(Field.alloc, allocatedBlocks)
        add(Field.parent, parent.rawValue)
        add(Field.extender, extender.rawValue)
        if kind == .regular { add(Field.size, size) }
        if kind == .symbolicLink { pairs.append(Pair(Field.target, target)) }
        if hasXattrs { pairs.append(Pair(Field.hasXattrs, Field.one)) }
        if let codec { pairs.append(Pair(Field.ownCodec, Bytes(codec.name.utf8))) }
        return pairs
    }
}

extension TailState {
    /// `<generation>` or `<generation>:<session>`.
    init(parsing value: Bytes) throws(FormatError) {
        let parts = value.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 2, let generation = UInt64(decimal: parts[0]),
            (1...RecordLimits.number).contains(generation)
        else { throw FormatError("j is no tail state") }
        self.init(generation: generation)
        if parts.count == 2 {
            guard isStale, let session = UInt64(decimal: parts[1]) else {
                throw FormatError("j is no tail state")
            }
            claimant = SessionID(session)
        }
    }

    var stored: Bytes {
        var result = Bytes(decimal: generation)
        if let claimant {
            result.append(UInt8(ascii: ":"))
            result.appendDecimal(claimant.rawValue)
        }
        return result
    }

    /// Holds while the hash `key` has this state.
    func condition(_ key: Bytes) -> Condition {
        generation == 0
            ? .fieldAbsent(key: key, field: Field.tail)
            : .fieldEquals(key: key, field: Field.tail, value: stored)
    }
}

/// The fields of an inode's hash while they are collected.
struct InodeFields {
    var mode: UInt64?
    var user: UInt64?
    var group: UInt64?
    var links: UInt64?
    var size: UInt64?
    var accessTime: Int64?
    var modificationTime: Int64?
    var changeTime: Int64?
    var device: UInt64?
    var data: UInt64?
    var alloc: UInt64?
    var dense: UInt64?
    var stored: Int64?
    var birth: UInt64?
    var parent: UInt64?
    var target: Bytes?
    var hasXattrs = false
    var tail: TailState?
    var extender: UInt64?
    var isNameless = false
    var codec: Codec?

    mutating func take(
        _ field: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(FormatError) {
        guard field.count == 1, let letter = field.first else {
            throw FormatError("a field that no inode has")
        }
        switch letter {
        case UInt8(ascii: "m"): mode = try number(value, 0o177777, "m")
        case UInt8(ascii: "u"): user = try number(value, UInt64(UInt32.max), "u")
        case UInt8(ascii: "g"): group = try number(value, UInt64(UInt32.max), "g")
        case UInt8(ascii: "n"): links = try number(value, UInt64(UInt32.max), "n")
        case UInt8(ascii: "s"): size = try number(value, FileOffset.maximum.bytes, "s")
        case UInt8(ascii: "a"): accessTime = try signed(value, "a")
        case UInt8(ascii: "t"): modificationTime = try signed(value, "t")
        case UInt8(ascii: "c"): changeTime = try signed(value, "c")
        case UInt8(ascii: "r"): device = try number(value, UInt64(UInt32.max), "r")
        case UInt8(ascii: "d"): data = try number(value, RecordLimits.number, "d")
        case UInt8(ascii: "l"): alloc = try number(value, RecordLimits.blocks, "l")
        case UInt8(ascii: "f"): dense = try number(value, RecordLimits.blocks, "f")
        case UInt8(ascii: "k"): stored = try signed(value, "k")
        case UInt8(ascii: "b"): birth = try number(value, RecordLimits.epoch, "b")
        case UInt8(ascii: "p"): parent = try number(value, RecordLimits.number, "p")
        case UInt8(ascii: "j"): tail = try TailState(parsing: Bytes(value))
        case UInt8(ascii: "e"): extender = try number(value, RecordLimits.number, "e")
        case UInt8(ascii: "x"): hasXattrs = try flag(value, "x")
        case UInt8(ascii: "z"): isNameless = try flag(value, "z")
        case UInt8(ascii: "o"):
            guard
                let codec = String(validating: value, as: UTF8.self).flatMap({ Codec(name: $0) })
            else { throw FormatError("o is no codec") }
            self.codec = codec
        case UInt8(ascii: "y"):
            guard (1...RecordLimits.targetBytes).contains(value.count) else {
                throw FormatError("y is no target")
            }
            target = Bytes(value)
        default: throw FormatError("a field that no inode has")
        }
    }

    func required(
        _ field: KeyPath<InodeFields, UInt64?>, _ name: String
    ) throws(FormatError) -> UInt64 {
        guard let value = self[keyPath: field] else { throw FormatError("\(name) is missing") }
        return value
    }

    func time(
        _ field: KeyPath<InodeFields, Int64?>, _ name: String
    ) throws(FormatError) -> Timestamp {
        guard let value = self[keyPath: field] else { throw FormatError("\(name) is missing") }
        return Timestamp(nanoseconds: value)
    }

    private func number(
        _ value: UnsafeRawBufferPointer, _ maximum: UInt64, _ name: String
    ) throws(FormatError) -> UInt64 {
        guard let number = UInt64(decimal: value), number <= maximum else {
            throw FormatError("\(name) is no number, or too great")
        }
        return number
    }

    private func signed(
        _ value: UnsafeRawBufferPointer, _ name: String
    ) throws(FormatError) -> Int64 {
        guard let number = Int64(decimal: value) else { throw FormatError("\(name) is no number") }
        return number
    }

    private func flag(
        _ value: UnsafeRawBufferPointer, _ name: String
    ) throws(FormatError) -> Bool {
        guard value.elementsEqual(Field.one) else { throw FormatError("\(name) is no flag") }
        return true
    }
}
