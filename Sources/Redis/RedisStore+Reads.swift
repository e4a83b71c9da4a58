public import KeyValue
import Primitives

extension RedisStore {
    public func read(_ reads: [Read]) throws(StoreError) -> [ReadAnswer] {
        guard !reads.isEmpty else { return [] }
        // Pages are large: they travel with the blocks, so that no lookup waits behind one.
        let lane = reads.contains(where: \.isBulky) ? dataLane() : metadataLane
        return try exchanges.withExchange(deadline: deadline()) { exchange throws(StoreError) in
            for read in reads {
                if case .hashes(let keys) = read { exchange.expectHashes(keys.count) }
                exchange.commands.add(read)
            }
            // A list of keys may be empty.
            if exchange.commands.commandCount > 0 {
                try call(exchange, on: lane)
                try exchange.checkForErrors()
            }
            var answers: [ReadAnswer] = []
            answers.reserveCapacity(reads.count)
            var replies = exchange.replies[...]
            for read in reads {
                if case .hashes = read {
                    answers.append(.hashes(exchange.takeHashes()))
                    continue
                }
                answers.append(try answer(to: read, replies.prefix(read.commandCount), lane))
                replies = replies.dropFirst(read.commandCount)
            }
            return answers
        }
    }

    private func answer(
        to read: Read, _ replies: ArraySlice<Reply>, _ lane: Lane
    ) throws(StoreError) -> ReadAnswer {
        switch read {
        case .existence:
            var found: [Bool] = []
            for reply in replies { found.append(try reply.integer() == 1) }
            return .existing(found)
        case .page(let key, _, let limit):
            let (next, pairs) = try replies.only().page()
            return try continuePage(key, next, pairs, limit, lane)
        case .value, .fields, .allFields, .hashes, .fieldCount, .follow, .followPage, .members,
            .time, .keys:
            return try replies.only().answer(to: read)
        }
    }

    /// A hash that has shrunk has empty places: a page of nothing is not an answer while there is more.
    private func continuePage(
        _ key: Bytes, _ next: UInt64, _ pairs: [Pair], _ limit: Int, _ lane: Lane
    ) throws(StoreError) -> ReadAnswer {
        var (next, pairs) = (next, pairs)
        while pairs.isEmpty, next != 0 {
            let cursor = next
            (next, pairs) = try exchanges.withExchange(deadline: deadline()) {
                exchange throws(StoreError) in
                exchange.commands.add(.page(key: key, cursor: cursor, limit: limit))
                try call(exchange, on: lane)
                try exchange.checkForErrors()
                return try exchange.replies[...].only().page()
            }
        }
        return .page(next: next, pairs)
    }
}

extension Read {
    /// So many take about as long as a trip.
    private static let delayingHashes = 16

    /// Whether the answer may be large enough to delay others.
    fileprivate var isBulky: Bool {
        switch self {
        case .page, .followPage, .keys: true
        case .hashes(let keys): keys.count > Self.delayingHashes
        case .value, .fields, .allFields, .fieldCount, .follow, .members, .time, .existence: false
        }
    }

    /// How many commands it becomes, each of which has a reply.
    fileprivate var commandCount: Int {
        switch self {
        case .existence(let keys), .hashes(let keys): keys.count
        case .fields(_, let fields): fields.isEmpty ? 0 : 1
        case .value, .allFields, .fieldCount, .page, .follow, .followPage, .members, .time, .keys: 1
        }
    }
}

extension ArraySlice<Reply> {
    fileprivate func only() throws(StoreError) -> Reply { first ?? .array([]) }
}

extension CommandBuffer {
    func add(_ read: Read) {
        switch read {
        case .value(let key): addSimple("GET", key)
        case .fields(let key, let fields):
            guard !fields.isEmpty else { return }
            begin("HMGET", arguments: 2 + fields.count)
            add(key)
            for field in fields { add(field) }
        case .allFields(let key): addSimple("HGETALL", key)
        case .hashes(let keys): for key in keys { addSimple("HGETALL", key) }
        case .fieldCount(let key): addSimple("HLEN", key)
        case .page(let key, let cursor, let limit):
            begin("HSCAN", arguments: 5)
            add(key)
            add(cursor)
            add("COUNT")
            add(max(1, limit))
        case .follow(let key, let field, let prefix):
            beginScript(Script.follow, key, arguments: 2)
            add(field)
            add(prefix)
        case .followPage(let key, let cursor, let limit, let prefix, let maximum):
            beginScript(Script.followPage, key, arguments: 4)
            add(cursor)
            add(max(1, limit))
            add(prefix)
            add(maximum)
        case .members(let key, let maximum, let limit):
            begin("ZRANGE", arguments: 9)
            add(key)
            add("-inf")
            add(maximum)
            add("BYSCORE")
            add("LIMIT")
            add("0")
            add(max(0, limit))
            add("WITHSCORES")
        case .time: begin("TIME", arguments: 1)
        case .existence(let keys): for key in keys { addSimple("EXISTS", key) }
        case .keys(let prefix, let cursor, let limit):
            begin("SCAN", arguments: 6)
            add(cursor)
            add("MATCH")
            add(Self.pattern(ofPrefix: prefix))
            add("COUNT")
            add(max(1, limit))
        }
    }

    /// A glob-style pattern (KEYS command) for what begins with `prefix`.
    private static func pattern(ofPrefix prefix: Bytes) -> Bytes {
        var pattern = Bytes()
        for byte in prefix {
            if "*?[]^-\\".utf8.contains(byte) { pattern.append(UInt8(ascii: "\\")) }
            pattern.append(byte)
        }
        return pattern + [UInt8(ascii: "*")]
    }

    private func addSimple(_ name: StaticString, _ key: Bytes) {
        begin(name, arguments: 2)
        add(key)
    }

    /// Begins a call of a script that reads, with one key; `arguments` words have to follow.
    private func beginScript(_ script: Script, _ key: Bytes, arguments: Int) {
        begin("EVALSHA_RO", arguments: 4 + arguments)
        add(script.digest)
        add("1")
        add(key)
    }
}
