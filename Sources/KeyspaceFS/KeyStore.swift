import FileSystem
import KeyValue
import Logging
import Primitives
import Redis
import Telemetry

/// The types of values, as TYPE names them.
enum ValueType: Hashable, Sendable {
    case string, list, set, sortedSet, hash, stream
    /// Of a module.
    case other

    /// `nil` for a key that is not there.
    init?(_ name: Bytes) {
        switch String(decoding: name, as: UTF8.self) {
        case "none": return nil
        case "string": self = .string
        case "list": self = .list
        case "set": self = .set
        case "zset": self = .sortedSet
        case "hash": self = .hash
        case "stream": self = .stream
        default: self = .other
        }
    }
}

/// What is known of a place from one look at the server.
struct PlaceFacts: Hashable, Sendable {
    /// Of the key.
    var type: ValueType
    /// Bytes of a string or of a field; of a text only when they were counted; 0 for everything else.
    var size: UInt64?
}

/// Asks the server, and says what its answers mean to a program. Everything here is one round trip unless
/// it says otherwise.
final class KeyStore: Sendable {
    let redis: RedisStore
    let logger: Logger
    private let metrics: Metrics
    /// What the server has refused, each of which is told once. Rank: a leaf.
    private let refusals = Locked<Set<String>>([])

    init(redis: RedisStore, metrics: Metrics, logger: Logger) {
        self.redis = redis
        self.metrics = metrics
        self.logger = logger
    }

    /// Errors among the replies are not thrown.
    func perform(
        _ commands: [RedisCommand], effect: RedisEffect = .none, isBulky: Bool = false
    ) throws(Errno) -> [Reply] {
        do throws(StoreError) {
            return try redis.perform(commands, effect: effect, isBulky: isBulky)
        } catch {
            throw report(error)
        }
    }

    /// One command, whose error is thrown.
    func perform(
        _ command: RedisCommand, effect: RedisEffect = .none, isBulky: Bool = false
    ) throws(Errno) -> Reply {
        guard let reply = try perform([command], effect: effect, isBulky: isBulky).first else {
            throw .ioError
        }
        return try checked(reply)
    }

    /// The reply, unless it is an error.
    func checked(_ reply: Reply) throws(Errno) -> Reply {
        if let failure = reply.failure { throw report(failure) }
        return reply
    }

    /// The one place where failures of the store become errors of a program.
    func report(_ error: StoreError) -> Errno {
        switch error {
        case .outOfMemory: return .noSpace
        case .readOnly: return .readOnlyFileSystem
        case .notAuthorized(let reason):
            logger.error("the server refuses", metadata: ["reason": "\(reason)"])
            return .accessDenied
        // The type is not the one that was there a moment ago.
        case .wrongKind: return .stale
        case .protocolViolation(let reason) where reason.contains("string exceeds maximum"):
            return .fileTooLarge
        // Two keys on different nodes of a cluster: `mv` copies.
        case .protocolViolation(let reason) where reason.hasPrefix("CROSSSLOT "):
            return .crossDevice
        // A key of another node, which this view does not show.
        case .protocolViolation(let reason) where Self.isElsewhere(reason): return .notPermitted
        case .unavailable(let reason), .protocolViolation(let reason):
            logger.error("the store failed", metadata: ["reason": "\(reason)"])
            return .ioError
        case .fenced, .closed: return .ioError
        }
    }

    /// Whether a node of a cluster says that another one has the key.
    private static func isElsewhere(_ reason: String) -> Bool {
        reason.hasPrefix("MOVED ") || reason.hasPrefix("ASK ")
    }

    private static func isElsewhere(_ reply: Reply) -> Bool {
        guard case .protocolViolation(let reason)? = reply.failure else { return false }
        return isElsewhere(reason)
    }

    // MARK: Looking at keys

    /// The commands that tell about a place; none for what is no key's.
    private static func questions(about place: Place) -> [RedisCommand] {
        switch place {
        case .value(let key): [RedisCommand("TYPE", key), RedisCommand("STRLEN", key)]
        case .hash(let key, _): [RedisCommand("TYPE", key)]
        case .field(let key, let field):
            [RedisCommand("HEXISTS", key, field), RedisCommand("HSTRLEN", key, field)]
        case .directory, .updater: []
        }
    }

    /// What is at each of these places; `nil` where nothing is, or something else than the place says.
    func facts(
        of places: [Place], isBulky: Bool = false
    ) throws(Errno) -> [PlaceFacts?] {
        let questions = places.map(Self.questions(about:))
        let commands = questions.flatMap { $0 }
        var replies = commands.isEmpty ? [] : try perform(commands, isBulky: isBulky)[...]
        var facts: [PlaceFacts?] = []
        for (place, asked) in zip(places, questions) {
            facts.append(try fact(of: place, Array(replies.prefix(asked.count))))
            replies = replies.dropFirst(asked.count)
        }
        return facts
    }

    func facts(of place: Place) throws(Errno) -> PlaceFacts? { try facts(of: [place])[0] }

    private func fact(of place: Place, _ replies: [Reply]) throws(Errno) -> PlaceFacts? {
        if let first = replies.first, Self.isElsewhere(first) { return nil }
        switch place {
        case .directory, .updater: return nil
        case .hash:
            guard let type = try type(replies[0]), type == .hash else { return nil }
            return PlaceFacts(type: type, size: 0)
        case .value:
            guard let type = try type(replies[0]) else { return nil }
            // STRLEN of another type is an error, and says nothing.
            return PlaceFacts(type: type, size: type == .string ? number(replies[1]) : nil)
        case .field:
            // A key of another type has no fields.
            if replies[0].failure == .wrongKind { return nil }
            guard try checked(replies[0]) == .integer(1) else { return nil }
            return PlaceFacts(type: .hash, size: number(replies[1]))
        }
    }

    private func number(_ reply: Reply) -> UInt64 {
        guard case .integer(let value) = reply else { return 0 }
        return UInt64(max(0, value))
    }

    /// `nil` for a key that is not there.
    func type(_ reply: Reply) throws(Errno) -> ValueType? {
        guard case .simple(let name) = try checked(reply) else { throw malformed("TYPE") }
        return ValueType(name)
    }

    func malformed(_ command: String) -> Errno {
        logger.error("a reply that the command never has", metadata: ["command": "\(command)"])
        metrics.add(.malformedRecords)
        return .ioError
    }

    // MARK: Lists of keys

    struct Page {
        var next: UInt64
        var items: [Bytes]
    }

    /// How many keys the server looks at for one answer: what other clients wait for meanwhile.
    static let scanCount = 1_000

    /// Keys that match `pattern`. An answer may be empty though there is more.
    func scan(_ cursor: UInt64, matching pattern: Bytes?) throws(Errno) -> Page {
        var words = [Bytes(decimal: cursor)]
        if let pattern { words += [Bytes("MATCH".utf8), pattern] }
        words += [Bytes("COUNT".utf8), Bytes(decimal: UInt64(Self.scanCount))]
        return try page(try perform(RedisCommand("SCAN", words), isBulky: true))
    }

    /// Those of these keys that are there, asked a thousand at a time.
    func existing(_ keys: [Bytes]) throws(Errno) -> [Bytes] {
        var found: [Bytes] = []
        for start in stride(from: 0, to: keys.count, by: Self.scanCount) {
            let some = keys[start..<min(start + Self.scanCount, keys.count)]
            let replies = try perform(some.map { RedisCommand("EXISTS", $0) }, isBulky: true)
            for (key, reply) in zip(some, replies) where try integer(reply) == 1 {
                found.append(key)
            }
        }
        return found
    }

    /// The names of some fields of a hash, none of their values.
    func fields(of key: Bytes, _ cursor: UInt64) throws(Errno) -> Page {
        let words = [Bytes(decimal: cursor), Bytes(decimal: UInt64(Self.scanCount))]
        let reply = try perform(
            [
                RedisCommand(
                    "EVAL_RO", KeyScripts.call(KeyScripts.fieldPage, keys: [key], words))
            ], isBulky: true)[0]
        guard case .notAuthorized? = reply.failure else { return try page(try checked(reply)) }
        // A user who may read, and run no scripts: the values come along.
        noteRefusal(of: "names of fields without their values", reply)
        var found = try page(
            try perform(
                RedisCommand("HSCAN", key, words[0], Bytes("COUNT".utf8), words[1]), isBulky: true))
        found.items = stride(from: 0, to: found.items.count, by: 2).map { found.items[$0] }
        return found
    }

    /// Says once that the server does not do something for this user.
    func noteRefusal(of what: String, _ reply: Reply) {
        guard refusals.withLock({ $0.insert(what).inserted }), let failure = reply.failure else {
            return
        }
        logger.notice(
            "the server refuses, and the view does without: \(what)",
            metadata: ["reason": "\(failure)"])
    }

    private func page(_ reply: Reply) throws(Errno) -> Page {
        guard case .array(let parts) = reply, parts.count == 2, case .bulk(let text) = parts[0],
            let next = UInt64(decimal: text)
        else { throw malformed("SCAN") }
        return Page(next: next, items: try texts(parts[1]))
    }

    /// The elements of a list of strings.
    func texts(_ reply: Reply) throws(Errno) -> [Bytes] {
        guard case .array(let elements) = reply else { throw malformed("a list") }
        var texts: [Bytes] = []
        texts.reserveCapacity(elements.count)
        for element in elements {
            guard case .bulk(let text) = element else { throw malformed("a list") }
            texts.append(text)
        }
        return texts
    }

    func text(_ reply: Reply) throws(Errno) -> Bytes? {
        switch try checked(reply) {
        case .bulk(let text): return text
        case .null: return nil
        case .simple, .integer, .array, .error: throw malformed("a string")
        }
    }

    func integer(_ reply: Reply) throws(Errno) -> Int64 {
        guard case .integer(let value) = try checked(reply) else { throw malformed("a number") }
        return value
    }
}
