public import FileSystem
import KeyValue
public import Primitives
import Redis

/// What Redis knows of a key, as extended attributes. Those of a field are of its hash.
enum KeyAttribute: String, CaseIterable {
    case type = "user.redis.type"
    case encoding = "user.redis.encoding"
    /// Seconds until the key expires, with three decimals; there only when it does. Writable.
    case ttl = "user.redis.ttl"
    /// Bytes, as MEMORY USAGE estimates them.
    case memory = "user.redis.memory"
    /// Seconds since anybody used the key.
    case idle = "user.redis.idle"
    /// The key itself, and the field, whatever the name had to escape.
    case key = "user.redis.key"
    case field = "user.redis.field"

    /// `1.500` for 1,500 milliseconds. Always with three decimals: programs ask for the length first, and what
    /// is longer than that a moment later is ERANGE.
    static func seconds(fromMilliseconds milliseconds: Int64) -> String {
        let digits = "\(1_000 + milliseconds % 1_000)".dropFirst()
        return "\(milliseconds / 1_000).\(digits)"
    }

    /// `nil` unless it is a number of seconds with up to three decimals, not negative.
    static func milliseconds(fromSeconds text: some StringProtocol) -> Int64? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, (1...12).contains(first.count),
            let whole = UInt64(decimal: Bytes(first.utf8))
        else { return nil }
        guard parts.count == 2 else { return Int64(whole) * 1_000 }
        let digits = parts[1]
        guard (1...3).contains(digits.count), digits.allSatisfy({ ("0"..."9").contains($0) }),
            let rest = Int64(digits + String(repeating: "0", count: 3 - digits.count))
        else { return nil }
        return Int64(whole) * 1_000 + rest
    }
}

extension KeyspaceFileSystem {
    public func getxattr(
        _ caller: Caller, inode: InodeID, name: FileName
    ) throws(Errno) -> [UInt8] {
        guard let attribute = KeyAttribute(rawValue: String(decoding: name.bytes, as: UTF8.self)),
            let place = try inodes.inode(inode).livingPlace, let key = place.key
        else { throw .noAttribute }
        switch attribute {
        case .key: return key
        case .field:
            guard case .field(_, let field) = place else { throw .noAttribute }
            return field
        case .type:
            guard case .simple(let type) = try store.perform(RedisCommand("TYPE", key)),
                ValueType(type) != nil
            else { throw .noAttribute }
            return type
        case .encoding:
            return try answer(to: RedisCommand("OBJECT", Bytes("ENCODING".utf8), key))
        case .memory:
            return try answer(to: RedisCommand("MEMORY", Bytes("USAGE".utf8), key))
        case .idle:
            return try answer(to: RedisCommand("OBJECT", Bytes("IDLETIME".utf8), key))
        case .ttl:
            let left = try store.integer(try store.perform(RedisCommand("PTTL", key)))
            guard left >= 0 else { throw .noAttribute }
            return Bytes(KeyAttribute.seconds(fromMilliseconds: left).utf8)
        }
    }

    /// ENODATA for what the server does not know or does not tell.
    private func answer(to command: RedisCommand) throws(Errno) -> [UInt8] {
        switch try store.perform([command])[0] {
        case .integer(let value): return Bytes(decimal: value)
        case .bulk(let text), .simple(let text): return text
        case .null, .array, .error: throw .noAttribute
        }
    }

    public func listxattr(_ caller: Caller, inode: InodeID) throws(Errno) -> [UInt8] {
        guard let place = try inodes.inode(inode).livingPlace, let key = place.key else {
            return []
        }
        let expires = try store.integer(try store.perform(RedisCommand("PTTL", key))) >= 0
        return KeyAttribute.allCases.filter { attribute in
            switch attribute {
            case .ttl: expires
            case .field: if case .field = place { true } else { false }
            case .type, .encoding, .memory, .idle, .key: true
            }
        }.flatMap { Bytes($0.rawValue.utf8) + [0] }
    }

    /// Only the expiry can be set: to seconds from now, or to `-1` for none. EOPNOTSUPP for everything else:
    /// what programs that copy attributes along (`cp -a`, `mv`) do without.
    public func setxattr(
        _ caller: Caller, inode: InodeID, name: FileName, value: UnsafeRawBufferPointer,
        mode: SetXattrMode
    ) throws(Errno) {
        try requireWritable()
        let key = try keyOfExpiry(inode, name)
        var text = String(decoding: value, as: UTF8.self)
        // As `echo` and editors end it.
        while text.hasSuffix("\n") { text.removeLast() }
        let has = try store.integer(try store.perform(RedisCommand("PTTL", key))) >= 0
        switch mode {
        case .create where has: throw .exists
        case .replace where !has: throw .noAttribute
        case .create, .replace, .createOrReplace: break
        }
        own.note(key)
        if text == "-1" {
            _ = try store.perform(RedisCommand("PERSIST", key), effect: .idempotent)
            return
        }
        // Without any time left the key would be deleted.
        guard let milliseconds = KeyAttribute.milliseconds(fromSeconds: text), milliseconds > 0
        else { throw .invalid }
        let set = try store.perform(
            RedisCommand("PEXPIRE", key, Bytes(decimal: milliseconds)), effect: .idempotent)
        guard try store.integer(set) == 1 else { throw .noEntry }
    }

    public func removexattr(_ caller: Caller, inode: InodeID, name: FileName) throws(Errno) {
        try requireWritable()
        let key = try keyOfExpiry(inode, name)
        own.note(key)
        let removed = try store.perform(RedisCommand("PERSIST", key), effect: .once)
        guard try store.integer(removed) == 1 else { throw .noAttribute }
    }

    private func keyOfExpiry(_ inode: InodeID, _ name: FileName) throws(Errno) -> Bytes {
        let attribute = KeyAttribute(rawValue: String(decoding: name.bytes, as: UTF8.self))
        let inode = try inodes.inode(inode)
        guard attribute == .ttl, let place = inode.livingPlace, let key = place.key else {
            throw .notSupported
        }
        // The expiry of a field is that of all fields of its hash. Programs that copy attributes along
        // have the file open: they shall not take the other fields with it.
        if case .field = place, inode.withState({ $0.openCount > 0 }) { throw .notSupported }
        return key
    }
}
