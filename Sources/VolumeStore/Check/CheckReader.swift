import KeyValue
import Primitives

/// Walks a store in small steps, so that no command keeps its server busy for long.
struct CheckReader {
    let store: any KeyValueStore
    let schema: Schema

    /// Keys or fields that one command looks at.
    static let perStep = 1_000
    /// Records that one trip reads.
    static let recordsPerTrip = 500
    /// Members of the garbage list that are looked at; with more, what is on it counts as unknown.
    static let maximumMembers = 100_000

    /// Calls `body` with each key that begins with `prefix`, by pages; a key can come twice.
    func scan(
        _ prefix: Bytes, _ body: ([Bytes]) throws(StoreError) -> Void
    ) throws(StoreError) {
        var cursor: UInt64 = 0
        repeat {
            let answers = try store.read([
                .keys(prefix: prefix, cursor: cursor, limit: Self.perStep)
            ])
            guard answers.count == 1, case .keys(let next, let keys) = answers[0] else {
                throw .protocolViolation("unexpected answer about keys")
            }
            if !keys.isEmpty { try body(keys) }
            cursor = next
        } while cursor != 0
    }

    /// Calls `body` with the fields of a hash, by pages. `false` when the key holds something else.
    func walk(
        _ key: Bytes, _ body: ([Pair]) throws(StoreError) -> Void
    ) throws(StoreError) -> Bool {
        var cursor: UInt64 = 0
        repeat {
            guard
                let answer = try store.readEach([
                    .page(key: key, cursor: cursor, limit: Self.perStep)
                ])[0]
            else { return false }
            guard case .page(let next, let pairs) = answer else {
                throw .protocolViolation("unexpected answer about a hash")
            }
            try body(pairs)
            cursor = next
        } while cursor != 0
        return true
    }

    /// All fields of each hash; `nil` for a key that holds something else.
    func hashes(_ keys: [Bytes]) throws(StoreError) -> [[Pair]?] {
        var found: [[Pair]?] = []
        found.reserveCapacity(keys.count)
        for start in stride(from: 0, to: keys.count, by: Self.recordsPerTrip) {
            let part = keys[start..<min(start + Self.recordsPerTrip, keys.count)]
            for answer in try store.readEach(part.map { .allFields(key: $0) }) {
                switch answer {
                case .pairs(let pairs): found.append(pairs)
                case nil: found.append(nil)
                case .value, .values, .count, .page, .followed, .followedPage, .members, .time,
                    .existing, .keys, .hashes:
                    throw .protocolViolation("unexpected answer about a hash")
                }
            }
        }
        return found
    }

    /// Whether each key holds a hash, or nothing any more.
    func areHashes(_ keys: [Bytes]) throws(StoreError) -> [Bool] {
        guard !keys.isEmpty else { return [] }
        return try store.readEach(keys.map { .fieldCount(key: $0) }).map { $0 != nil }
    }

    /// Members of an ordered set; `nil` when the key holds something else.
    func members(_ key: Bytes) throws(StoreError) -> [Member]? {
        let read = Read.members(key: key, upTo: .max, limit: Self.maximumMembers)
        guard let answer = try store.readEach([read])[0] else { return nil }
        guard case .members(let members) = answer else {
            throw .protocolViolation("unexpected answer about a set")
        }
        return members
    }

    /// One field of the volume's own hash, as a number; `nil` when it is absent or no number.
    func counter(_ field: Bytes) throws(StoreError) -> Int64? {
        guard case .values(let values) = try store.read([.fields(key: schema.volume, [field])])[0]
        else { throw .protocolViolation("unexpected answer about the volume") }
        return values.first.flatMap { $0 }.flatMap { Int64(decimal: $0) }
    }

    func existing(_ keys: [Bytes]) throws(StoreError) -> [Bool] {
        guard case .existing(let found) = try store.read([.existence(keys: keys)])[0] else {
            throw .protocolViolation("unexpected answer about keys")
        }
        return found
    }
}
