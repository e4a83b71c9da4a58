import Primitives

extension MemoryStore {
    public func read(_ reads: [Read]) throws(StoreError) -> [ReadAnswer] {
        guard !reads.isEmpty else { return [] }
        try beginTrip()
        var answers: [ReadAnswer] = []
        answers.reserveCapacity(reads.count)
        for read in reads { answers.append(try answer(read)) }
        return answers
    }

    private func answer(_ read: Read) throws(StoreError) -> ReadAnswer {
        switch read {
        case .value(let key):
            return .value(
                try shards.withKey(key) { () throws(StoreError) in try shards.string(key)?.bytes })
        case .fields(let key, let fields):
            return try withHash(key) { hash in .values(fields.map { hash?[$0] }) }
        case .allFields(let key): return try withHash(key) { .pairs($0?.pairs ?? []) }
        case .hashes(let keys): return .hashes(try hashes(keys))
        case .fieldCount(let key): return try withHash(key) { .count($0?.count ?? 0) }
        case .page(let key, let cursor, let limit):
            return try withHash(key) { hash in
                let page = hash?.page(from: cursor, limit: limit)
                return .page(next: page?.next ?? 0, page?.pairs ?? [])
            }
        case .follow(let key, let field, let prefix):
            return try follow(key, field, prefix)
        case .followPage(let key, let cursor, let limit, let prefix, let maximum):
            return try followPage(key, cursor, limit, prefix, maximum)
        case .members(let key, let maximum, let limit):
            return .members(
                try shards.withKey(key) { () throws(StoreError) in
                    try shards.members(key)?.members(upTo: maximum, limit: limit) ?? []
                })
        case .time: return .time(milliseconds: nowMilliseconds)
        case .existence(let keys):
            return .existing(shards.withKeys(keys) { keys.map { shards.item($0) != nil } })
        case .keys(let prefix, let cursor, _):
            let (next, keys) = shards.page(from: cursor)
            return .keys(next: next, keys.filter { $0.starts(with: prefix) })
        }
    }

    private func withHash(
        _ key: Bytes, _ body: (StoredHash?) -> ReadAnswer
    ) throws(StoreError) -> ReadAnswer {
        try shards.withKey(key) { () throws(StoreError) in body(try shards.hash(key)) }
    }

    private func hashes(_ keys: [Bytes]) throws(StoreError) -> HashList {
        var list = HashList()
        for key in keys {
            list.append(
                try shards.withKey(key) { () throws(StoreError) in
                    try shards.hash(key)?.pairs ?? []
                })
        }
        return list
    }

    private func follow(
        _ key: Bytes, _ field: Bytes, _ prefix: Bytes
    ) throws(StoreError) -> ReadAnswer {
        try dependent(on: key) { () throws(StoreError) in
            let value = try shards.hash(key)?[field]
            return (value, value.map { [Self.target(of: $0, prefix)] } ?? [])
        } answer: { value, targets throws(StoreError) in
            .followed(
                value: value,
                target: try targets.first.flatMap { key throws(StoreError) in
                    try shards.hash(key)?.pairs
                } ?? [])
        }
    }

    private func followPage(
        _ key: Bytes, _ cursor: UInt64, _ limit: Int, _ prefix: Bytes, _ maximum: Int
    ) throws(StoreError) -> ReadAnswer {
        try dependent(on: key) { () throws(StoreError) in
            let page = try shards.hash(key)?.page(from: cursor, limit: limit)
            let pairs = page?.pairs ?? []
            let followed = pairs.count > maximum ? [] : pairs
            return ((page?.next ?? 0, pairs), followed.map { Self.target(of: $0.value, prefix) })
        } answer: { (page: (next: UInt64, pairs: [Pair]), targets: [Bytes]) throws(StoreError) in
            var found: [[Pair]] = []
            found.reserveCapacity(targets.count)
            for key in targets { found.append(try shards.hash(key)?.pairs ?? []) }
            return .followedPage(
                next: page.next, page.pairs, targets: page.pairs.count > maximum ? nil : found)
        }
    }

    /// How often a dependent read looks for the keys that it depends on before it stops everything.
    private static let dependentRounds = 4

    /// Reads `first` under `key`, then the keys that it names, as one atomic read: the keys are learned,
    /// locked together, and learned once more.
    private func dependent<First>(
        on key: Bytes, first: () throws(StoreError) -> (First, targets: [Bytes]),
        answer: (First, [Bytes]) throws(StoreError) -> ReadAnswer
    ) throws(StoreError) -> ReadAnswer {
        var targets = try shards.withKey(key) { () throws(StoreError) in try first().targets }
        for _ in 0..<Self.dependentRounds {
            let expected = targets
            let found = try shards.withKeys(expected + [key]) { () throws(StoreError) in
                let (value, actual) = try first()
                targets = actual
                return actual == expected ? try answer(value, actual) : nil
            }
            if let found { return found }
        }
        return try shards.withEverything { () throws(StoreError) in
            let (value, actual) = try first()
            return try answer(value, actual)
        }
    }

    /// `prefix` and the decimal digits with which `value` begins.
    private static func target(of value: Bytes, _ prefix: Bytes) -> Bytes {
        prefix + value.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
