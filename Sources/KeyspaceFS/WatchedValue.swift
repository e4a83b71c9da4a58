import FileSystem
import KeyValue
import Primitives
import Redis

/// A string or a field on a connection of its own, on which its key is watched (WATCH): a transaction there
/// happens only if nobody has changed the key since. Belongs to one edit.
final class WatchedValue {
    /// What was there when the watching began.
    struct Seen: Equatable {
        /// Of the key; `nil` when it is not there.
        var type: ValueType?
        /// Whether the string or field is there.
        var exists: Bool
        var length: Int
        /// All of it, when it is a field or small.
        var contents: Bytes?
        /// Of a string that is neither small nor large.
        var digest: Bytes?

        /// Whether it is certain that nothing has changed but, perhaps, the expiry.
        func isSame(contents other: Bytes?, digest otherDigest: Bytes?) -> Bool {
            guard exists else { return false }
            if let other { return contents == other }
            return otherDigest != nil && digest == otherDigest
        }
    }

    enum Outcome: Equatable {
        case done
        /// Somebody has changed the key; nothing happened.
        case changed
        /// The connection was lost: it happened, or did not.
        case unknown
    }

    /// Of a string up to this size all is read when it is opened for writing: then a change can be told from
    /// a touch, and a lost connection is no conflict.
    static let smallBytes = 64 << 10
    /// Of a larger string, up to this size, the server makes a digest for the same purpose: 3 ms at most, in
    /// which it does nothing else.
    static let digestedBytes = 1 << 20
    private static let attempts = 3

    private let store: KeyStore
    private let pool: SessionPool
    private(set) var place: Place
    private var session: RedisSession?
    /// Of what was there when the watching last began, if it was a string neither small nor large.
    private(set) var digest: Bytes?

    init(_ place: Place, store: KeyStore, pool: SessionPool) {
        self.place = place
        self.store = store
        self.pool = pool
    }

    /// Whether changes since `watch` would be noticed.
    var isIntact: Bool { session.map { !$0.hasEnded } ?? false }

    private var key: Bytes { place.key ?? [] }

    /// Watches from now on and says what is there now.
    func watch() throws(Errno) -> Seen {
        for attempt in 1...Self.attempts {
            let session = try intactSession()
            do throws(StoreError) {
                let seen = try seen(in: session.perform(questions))
                digest = seen.digest
                return seen
            } catch {
                if attempt == Self.attempts { throw store.report(error) }
            }
        }
        throw .ioError
    }

    private func intactSession() throws(Errno) -> RedisSession {
        if let session, !session.hasEnded { return session }
        if session != nil { end() }
        let new = try pool.take()
        session = new
        return new
    }

    private var questions: [RedisCommand] {
        var commands = [
            RedisCommand("UNWATCH"), RedisCommand("WATCH", key), RedisCommand("TYPE", key),
        ]
        switch place {
        case .field(_, let field): commands.append(RedisCommand("HGET", key, field))
        case .value, .hash, .directory, .updater:
            commands.append(RedisCommand("STRLEN", key))
            commands.append(
                RedisCommand("GETRANGE", key, [48], Bytes(decimal: UInt64(Self.smallBytes - 1))))
            commands.append(digestQuestion)
        }
        return commands
    }

    private var digestQuestion: RedisCommand {
        let limits = [UInt64(Self.smallBytes), UInt64(Self.digestedBytes)]
        return RedisCommand(
            "EVAL_RO",
            KeyScripts.call(KeyScripts.digest, keys: [key], limits.map { Bytes(decimal: $0) }))
    }

    /// A user who may not run scripts has none.
    private static func digest(_ reply: Reply?) -> Bytes? {
        if case .bulk(let digest)? = reply { digest } else { nil }
    }

    private func seen(in replies: [Reply]) throws(StoreError) -> Seen {
        if let failure = replies[1].failure { throw failure }
        guard case .simple(let name) = replies[2] else {
            throw replies[2].failure ?? .protocolViolation("TYPE without a type")
        }
        let type = ValueType(name)
        if case .field = place {
            guard type == .hash, case .bulk(let value) = replies[3] else {
                return Seen(type: type, exists: false, length: 0, contents: nil)
            }
            return Seen(type: type, exists: true, length: value.count, contents: value)
        }
        guard type == .string, case .integer(let length) = replies[3],
            case .bulk(let start) = replies[4]
        else { return Seen(type: type, exists: false, length: 0, contents: nil) }
        return Seen(
            type: type, exists: true, length: Int(length),
            contents: length == start.count ? start : nil, digest: Self.digest(replies.last))
    }

    /// Carries out `commands` if nobody has changed the key, and goes on watching.
    func commit(_ commands: [RedisCommand]) throws(Errno) -> Outcome {
        guard let session else { return .unknown }
        let all =
            [RedisCommand("MULTI")] + commands + [RedisCommand("EXEC"), RedisCommand("WATCH", key)]
            + [digestQuestion]
        let replies: [Reply]
        do throws(StoreError) {
            replies = try session.perform(all)
        } catch {
            return .unknown
        }
        // A transaction that was refused does not say why; the command that was refused does.
        for reply in replies[1...commands.count] { _ = try store.checked(reply) }
        switch replies[commands.count + 1] {
        case .null: return .changed
        case .array(let results):
            for result in results { _ = try store.checked(result) }
            digest = Self.digest(replies.last)
            return .done
        case let other:
            _ = try store.checked(other)
            throw store.malformed("EXEC")
        }
    }

    /// Another place is watched from the next `watch` on.
    func move(to place: Place) { self.place = place }

    /// Gives the connection back.
    func end() {
        if let session { pool.giveBack(session) }
        session = nil
    }

    deinit { end() }
}
