import Primitives
import Synchronization

/// What a key of a `MemoryStore` holds.
enum MemoryItem {
    case string(StoredString)
    case hash(StoredHash)
    case members(StoredMembers)
}

/// The keys of a `MemoryStore`, spread over shards with a lock each.
///
/// Ranks: shards are locked in ascending order; the subscribers' lock comes behind them.
final class MemoryShards: Sendable {
    private final class Shard: @unchecked Sendable {
        let gate = Locked(())
        /// Under `gate`.
        var items: [Bytes: MemoryItem] = [:]
    }

    /// A power of two. Few enough that one thread may hold them all: ThreadSanitizer follows 64 locks.
    private static let count = 32

    /// What a key costs beside its bytes and its value; about what Redis takes for one.
    private static let keyOverheadBytes = 64

    private let shards = (0..<count).map { _ in Shard() }
    private let used = Atomic<Int>(0)

    var usedBytes: Int { used.load(ordering: .relaxed) }

    /// Every key, in no order.
    var keys: [Bytes] { withEverything { shards.flatMap { Array($0.items.keys) } } }

    /// The keys of one shard, `cursor` being its number; the next number, 0 behind the last.
    func page(from cursor: UInt64) -> (next: UInt64, keys: [Bytes]) {
        guard cursor < UInt64(Self.count) else { return (0, []) }
        let shard = shards[Int(cursor)]
        let keys = shard.gate.withLock { _ in Array(shard.items.keys) }
        return ((cursor + 1) % UInt64(Self.count), keys)
    }

    /// Runs `body` while no other thread reads or changes what stands under `keys`.
    func withKeys<Result, Failure: Error>(
        _ keys: [Bytes], _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if keys.count == 1 { return try withKey(keys[0], body) }
        let positions = Set(keys.map(Self.position(of:))).sorted()
        return try withShards(positions[...], body)
    }

    func withKey<Result, Failure: Error>(
        _ key: Bytes, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try shards[Self.position(of: key)].gate.withLock { _ throws(Failure) in try body() }
    }

    func withEverything<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withShards(Array(shards.indices)[...], body)
    }

    private func withShards<Result, Failure: Error>(
        _ positions: ArraySlice<Int>, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard let first = positions.first else { return try body() }
        return try shards[first].gate.withLock { _ throws(Failure) in
            try withShards(positions.dropFirst(), body)
        }
    }

    /// The caller holds the key, as for all that follow.
    func item(_ key: Bytes) -> MemoryItem? { shards[Self.position(of: key)].items[key] }

    func string(_ key: Bytes) throws(StoreError) -> StoredString? {
        switch item(key) {
        case nil: nil
        case .string(let value): value
        case .hash, .members: throw .wrongKind
        }
    }

    func hash(_ key: Bytes) throws(StoreError) -> StoredHash? {
        switch item(key) {
        case nil: nil
        case .hash(let value): value
        case .string, .members: throw .wrongKind
        }
    }

    func members(_ key: Bytes) throws(StoreError) -> StoredMembers? {
        switch item(key) {
        case nil: nil
        case .members(let value): value
        case .string, .hash: throw .wrongKind
        }
    }

    func put(_ key: Bytes, _ item: MemoryItem) {
        let old = shards[Self.position(of: key)].items.updateValue(item, forKey: key)
        account(cost(item) - (old.map(cost) ?? 0) + (old == nil ? keyCost(key) : 0))
    }

    func remove(_ key: Bytes) {
        guard let old = shards[Self.position(of: key)].items.removeValue(forKey: key) else {
            return
        }
        account(-cost(old) - keyCost(key))
    }

    /// Changes a hash, which is made when absent and goes with its last field. The key is a hash or
    /// absent: the caller has checked it.
    func changeHash(_ key: Bytes, _ body: (StoredHash) -> Void) {
        let hash: StoredHash
        if case .hash(let known) = item(key) { hash = known } else { hash = StoredHash() }
        let isNew = hash.count == 0
        let before = hash.byteCount
        body(hash)
        if isNew {
            if hash.count > 0 { put(key, .hash(hash)) }
            return
        }
        account(hash.byteCount - before)
        if hash.count == 0 { remove(key) }
    }

    /// The same for an ordered set.
    func changeMembers(_ key: Bytes, _ body: (StoredMembers) -> Void) {
        let members: StoredMembers
        if case .members(let known) = item(key) {
            members = known
        } else {
            members = StoredMembers()
        }
        let isNew = members.isEmpty
        let before = members.byteCount
        body(members)
        if isNew {
            if !members.isEmpty { put(key, .members(members)) }
            return
        }
        account(members.byteCount - before)
        if members.isEmpty { remove(key) }
    }

    func changeString(_ string: StoredString, _ body: (StoredString) -> Void) {
        let before = string.bytes.count
        body(string)
        account(string.bytes.count - before)
    }

    private func account(_ bytes: Int) {
        if bytes != 0 { used.wrappingAdd(bytes, ordering: .relaxed) }
    }

    private func keyCost(_ key: Bytes) -> Int { key.count + Self.keyOverheadBytes }

    private func cost(_ item: MemoryItem) -> Int {
        switch item {
        case .string(let value): value.bytes.count
        case .hash(let value): value.byteCount
        case .members(let value): value.byteCount
        }
    }

    /// FNV-1a over the end of the key, where keys differ, then folded.
    private static func position(of key: Bytes) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.suffix(24) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: hash ^ hash >> 32) & (count - 1)
    }
}
