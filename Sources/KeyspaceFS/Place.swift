import KeyValue

/// What a file or directory of the view is in Redis.
enum Place: Hashable, Sendable {
    case directory(DirectoryPlace)
    /// The fields of a hash as files (`--hashes directory`); `pending` as in `DirectoryPlace`.
    case hash(key: Bytes, pending: Bytes)
    /// The value of a key that is no hash.
    case value(key: Bytes)
    case field(key: Bytes, field: Bytes)
    /// `.updater` in the root.
    case updater

    var isDirectory: Bool {
        switch self {
        case .directory, .hash: true
        case .value, .field, .updater: false
        }
    }

    /// The key that has to be looked at; `nil` for what is no key's.
    var key: Bytes? {
        switch self {
        case .hash(let key, _), .value(let key), .field(let key, _): key
        case .directory, .updater: nil
        }
    }

    /// A well-mixed number that is the same in every mount: the inode's, unless two meet.
    var fingerprint: UInt64 {
        var hash = Fingerprint()
        switch self {
        case .directory(let place):
            hash.add(1)
            hash.add(place.prefix)
            hash.add(0)
            hash.add(place.pending)
        case .hash(let key, let pending):
            hash.add(2)
            hash.add(key)
            hash.add(0)
            hash.add(pending)
        case .value(let key):
            hash.add(3)
            hash.add(key)
        case .field(let key, let field):
            hash.add(4)
            for shift in stride(from: 0, to: 32, by: 8) {
                hash.add(UInt8(truncatingIfNeeded: key.count >> shift))
            }
            hash.add(key)
            hash.add(field)
        case .updater: hash.add(5)
        }
        return hash.value
    }
}

/// A directory: the keys that begin with `prefix`.
struct DirectoryPlace: Hashable, Sendable {
    var prefix: Bytes
    /// The beginning of the name of one entry that is too long for one name, in the form of a name; empty
    /// for a directory proper.
    var pending = Bytes()
}

/// FNV-1a with the finalizer of splitmix64: cheap to extend byte by byte, which gives all prefixes of a key
/// in one pass.
struct Fingerprint: Hashable, Sendable {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }

    mutating func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { add(byte) } }

    /// Never 0.
    var value: UInt64 {
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        value ^= value >> 31
        return value == 0 ? 1 : value
    }

    static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash = Fingerprint()
        hash.add(bytes)
        return hash.value
    }
}
