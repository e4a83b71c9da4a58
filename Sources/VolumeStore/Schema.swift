import KeyValue
import Primitives

/// Makes every key of a volume; no key is made anywhere else. docs/FORMAT.md has the list.
///
/// Metadata keys share the hash tag `{V}`, so that one batch may touch any of them on a sharded store. A
/// block's tag is its own address.
struct Schema: Sendable {
    /// The volume's hash, also the prefix of all metadata keys: `{V}`.
    let volume: Bytes
    /// `V/b{`.
    let blockKeyPrefix: Bytes

    init(_ name: VolumeName) {
        volume = Bytes("{\(name)}".utf8)
        blockKeyPrefix = Bytes("\(name)/b{".utf8)
    }

    /// Hash: an inode.
    func inode(_ id: InodeID) -> Bytes { key("i", id.rawValue) }
    /// What precedes the digits in the key of an inode, for dependent reads.
    var inodePrefix: Bytes { volume + [UInt8(ascii: "i")] }
    /// Hash: a directory's names.
    func directory(_ id: InodeID) -> Bytes { key("d", id.rawValue) }
    /// Hash: an inode's extended attributes.
    func xattrs(_ id: InodeID) -> Bytes { key("x", id.rawValue) }
    /// Hash: which chunks of a far-apart file may hold blocks.
    func chunks(_ data: DataID) -> Bytes { key("a", data.rawValue) }
    /// Ordered set: sessions by the end of their lease.
    var sessions: Bytes { volume + [UInt8(ascii: "s")] }
    /// Hash: one session.
    func session(_ id: SessionID) -> Bytes { key("s", id.rawValue) }
    /// Hash: the inodes that a session holds open after their last name went.
    func orphans(_ id: SessionID) -> Bytes { key("o", id.rawValue) }
    /// String: an inode's advisory locks.
    func locks(_ id: InodeID) -> Bytes { key("l", id.rawValue) }
    /// Hash: the inodes of which a session holds or wants locks.
    func lockedInodes(_ id: SessionID) -> Bytes { key("h", id.rawValue) }
    /// Hash: the locks for which a session waits.
    func waits(_ id: SessionID) -> Bytes { key("w", id.rawValue) }
    /// Hash: sessions that ended without closing.
    var crashed: Bytes { volume + [UInt8(ascii: "k")] }
    /// Ordered set: what may be dropped, by the time from which it may.
    var garbage: Bytes { volume + [UInt8(ascii: "g")] }
    /// The channel of change messages.
    var channel: Bytes { volume + [UInt8(ascii: "c")] }

    /// String: a block. `V/b{<data>/<index>}`.
    func block(_ address: BlockAddress) -> Bytes {
        var result = Bytes()
        result.reserveCapacity(blockKeyPrefix.count + 42)
        result.append(contentsOf: blockKeyPrefix)
        result.appendDecimal(address.data.rawValue)
        result.append(UInt8(ascii: "/"))
        result.appendDecimal(address.index.rawValue)
        result.append(UInt8(ascii: "}"))
        return result
    }

    func blocks(of data: DataID, _ range: Range<UInt64>) -> [Bytes] {
        range.map { block(BlockAddress(data: data, index: BlockIndex($0))) }
    }

    private func key(_ letter: Unicode.Scalar, _ number: UInt64) -> Bytes {
        var result = Bytes()
        result.reserveCapacity(volume.count + 21)
        result.append(contentsOf: volume)
        result.append(UInt8(ascii: letter))
        result.appendDecimal(number)
        return result
    }
}

/// Names of the fields of the hashes, as bytes.
enum Field {
    // The volume.
    static let format = Bytes("format".utf8)
    static let uuid = Bytes("uuid".utf8)
    static let blockSize = Bytes("block".utf8)
    static let codec = Bytes("codec".utf8)
    static let threshold = Bytes("threshold".utf8)
    static let created = Bytes("created".utf8)
    static let epoch = Bytes("epoch".utf8)
    static let nextID = Bytes("ni".utf8)
    static let nextSession = Bytes("ns".utf8)
    static let inodes = Bytes("inodes".utf8)
    static let blocks = Bytes("blocks".utf8)
    static let changes = Bytes("v".utf8)
    static let sessionEpoch = Bytes("se".utf8)
    static let losses = Bytes("lost".utf8)
    static let lastLoss = Bytes("lostat".utf8)

    // An inode: one letter each, so that the hash stays small.
    static let mode: Bytes = [UInt8(ascii: "m")]
    static let user: Bytes = [UInt8(ascii: "u")]
    static let group: Bytes = [UInt8(ascii: "g")]
    static let links: Bytes = [UInt8(ascii: "n")]
    static let size: Bytes = [UInt8(ascii: "s")]
    static let accessTime: Bytes = [UInt8(ascii: "a")]
    static let modificationTime: Bytes = [UInt8(ascii: "t")]
    static let changeTime: Bytes = [UInt8(ascii: "c")]
    static let device: Bytes = [UInt8(ascii: "r")]
    static let data: Bytes = [UInt8(ascii: "d")]
    static let alloc: Bytes = [UInt8(ascii: "l")]
    static let dense: Bytes = [UInt8(ascii: "f")]
    static let stored: Bytes = [UInt8(ascii: "k")]
    static let birth: Bytes = [UInt8(ascii: "b")]
    static let parent: Bytes = [UInt8(ascii: "p")]
    static let target: Bytes = [UInt8(ascii: "y")]
    static let hasXattrs: Bytes = [UInt8(ascii: "x")]
    static let tail: Bytes = [UInt8(ascii: "j")]
    static let extender: Bytes = [UInt8(ascii: "e")]
    static let nameless: Bytes = [UInt8(ascii: "z")]
    static let ownCodec: Bytes = [UInt8(ascii: "o")]

    // A session.
    static let host = Bytes("host".utf8)
    static let process = Bytes("pid".utf8)
    static let mountPoint = Bytes("mount".utf8)
    static let version = Bytes("version".utf8)
    static let start = Bytes("start".utf8)
    static let openFiles = Bytes("files".utf8)
    static let heldLocks = Bytes("locks".utf8)
    static let alone = Bytes("alone".utf8)
    static let machine = Bytes("machine".utf8)

    static let one: Bytes = [UInt8(ascii: "1")]
}
