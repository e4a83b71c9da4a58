import FileSystem
import KeyValue
import Logging
import Primitives
import Redis

/// One string or field that is open for writing here, by however many handles. What is written is kept until
/// a close, an fsync, the flush interval or the limit of memory, and then stored at once, in one transaction
/// that does not happen if somebody else has changed the value since it was opened.
final class EditSession: Sendable {
    private struct State {
        var place: Place
        var edit = PendingEdit(storedLength: 0)
        let watched: WatchedValue
        /// All of what is stored, where that is known: to tell a change from a touch.
        var stored: Bytes?
        /// The same for what is too large to be kept, by its digest.
        var storedDigest: Bytes?
        var hasBegun = false
        /// Somebody else's change was found; the edit cannot be stored any more.
        var isConflicted = false
        /// A program was told that its changes could not be stored.
        var wasTold = false
        /// It has no name any more: nothing is stored.
        var isGone = false
        var dirtySince: Deadline?
    }

    private static let maximumRounds = 16

    private let store: KeyStore
    private let options: KeyspaceOptions
    private let own: OwnChanges
    private let logger: Logger
    /// Rank 1, outermost: held across round trips to the store.
    private let state: Monitor<State>

    init(
        _ place: Place, store: KeyStore, pool: SessionPool, options: KeyspaceOptions,
        own: OwnChanges, logger: Logger
    ) {
        self.store = store
        self.options = options
        self.own = own
        self.logger = logger
        state = Monitor(
            State(place: place, watched: WatchedValue(place, store: store, pool: pool)))
    }

    /// Where it is stored.
    var place: Place { state.withLock { $0.place } }

    /// Another handle writes. ENOENT when nothing is there any more, EACCES when it cannot be written.
    func begin(truncating: Bool) throws(Errno) {
        try state.withLock { state throws(Errno) in
            if !state.hasBegun {
                let seen = try state.watched.watch()
                guard seen.exists else { throw seen.type == nil ? .noEntry : .accessDenied }
                state.edit = PendingEdit(storedLength: seen.length)
                noteStored(seen, &state)
                state.hasBegun = true
            }
            if truncating { change(&state) { $0.truncate(to: 0) } }
        }
    }

    /// `nil` before it has begun, or once it is gone.
    var size: Int? {
        state.withLock { $0.hasBegun && !$0.isGone ? $0.edit.size : nil }
    }

    var isDirty: Bool { state.withLock { $0.edit.isDirty } }

    func read(_ range: Range<Int>) throws(Errno) -> Bytes {
        try state.withLock { state throws(Errno) in
            let wanted = range.clamped(to: 0..<state.edit.size)
            return state.edit.contents(
                of: wanted, stored: try stored(state.edit.storedRange(for: wanted), state))
        }
    }

    private func stored(_ range: Range<Int>, _ state: State) throws(Errno) -> Bytes {
        if range.isEmpty { return [] }
        if let stored = state.stored { return Bytes(stored[range.clamped(to: 0..<stored.count)]) }
        let reply = try store.perform(
            RedisCommand(
                "GETRANGE", state.place.key ?? [], Bytes(decimal: UInt64(range.lowerBound)),
                Bytes(decimal: UInt64(range.upperBound - 1))), isBulky: true)
        return try store.text(reply) ?? []
    }

    /// `nil` as offset: at the end.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int?) throws(Errno) {
        try state.withLock { state throws(Errno) in
            guard !state.isConflicted else { throw .stale }
            let start = offset ?? state.edit.size
            guard start + bytes.count <= Self.maximumBytes else { throw .fileTooLarge }
            change(&state) { $0.write(bytes, at: start) }
            // A field is stored whole, so there is nothing to be gained before its close.
            guard case .value = state.place, !state.isGone,
                state.edit.pendingBytes >= options.pendingBytes
            else { return }
            try flush(&state)
        }
    }

    /// proto-max-bulk-len as it is unless somebody changes it.
    static let maximumBytes = 512 << 20

    func truncate(to length: Int) throws(Errno) {
        guard length <= Self.maximumBytes else { throw .fileTooLarge }
        try state.withLock { state throws(Errno) in
            guard !state.isConflicted else { throw .stale }
            change(&state) { $0.truncate(to: length) }
        }
    }

    private func change(_ state: inout State, _ body: (inout PendingEdit) -> Void) {
        body(&state.edit)
        state.wasTold = false
        if state.edit.isDirty, state.dirtySince == nil { state.dirtySince = .now }
    }

    // MARK: Storing

    /// Stores what was written. ESTALE when that would lose what somebody else has stored. `isAnswer`:
    /// a program hears what is thrown.
    func flush(isAnswer: Bool = false) throws(Errno) {
        try state.withLock { state throws(Errno) in
            do throws(Errno) {
                try flush(&state)
                state.wasTold = false
            } catch {
                state.wasTold = state.wasTold || isAnswer
                throw error
            }
        }
    }

    /// Whether a program was told of the changes that are not stored.
    var wasTold: Bool { state.withLock { $0.wasTold } }

    /// The same, if it has waited for so long.
    func flush(olderThanMilliseconds age: Int) throws(Errno) {
        try state.withLock { state throws(Errno) in
            guard let since = state.dirtySince, since.advanced(byMilliseconds: age).hasPassed else {
                return
            }
            try flush(&state)
        }
    }

    private func flush(_ state: inout State) throws(Errno) {
        guard state.edit.isDirty, !state.isGone else { return }
        guard !state.isConflicted else { throw .stale }
        for _ in 0..<Self.maximumRounds {
            if !state.watched.isIntact {
                let seen = try state.watched.watch()
                guard isUnchanged(seen, state) else {
                    if try settle(seen, &state) { continue }
                    return
                }
            }
            let contents = knownContents(state)
            own.note(state.place.key ?? [])
            switch try state.watched.commit(commands(state)) {
            case .done:
                didStore(contents, &state)
                return
            case .changed:
                let seen = try state.watched.watch()
                if isUnchanged(seen, state) { continue }
                guard try settle(seen, &state) else { return }
            case .unknown:
                let seen = try state.watched.watch()
                if let contents, seen.exists, seen.contents == contents {
                    didStore(contents, &state)
                    return
                }
                if isUnchanged(seen, state) { continue }
                guard try settle(seen, &state) else { return }
            }
        }
        logger.error("somebody changes a key all the time", metadata: Self.metadata(state.place))
        throw .ioError
    }

    private func didStore(_ contents: Bytes?, _ state: inout State) {
        state.edit.didStore()
        state.stored = contents
        state.storedDigest = state.watched.digest
        state.dirtySince = nil
    }

    private func noteStored(_ seen: WatchedValue.Seen, _ state: inout State) {
        state.stored = seen.contents
        state.storedDigest = seen.digest
    }

    private func isUnchanged(_ seen: WatchedValue.Seen, _ state: State) -> Bool {
        seen.isSame(contents: state.stored, digest: state.storedDigest)
    }

    /// All bytes as they are to be stored, where no look at the server is needed for that and they are worth
    /// keeping.
    private func knownContents(_ state: State) -> Bytes? {
        if case .value = state.place, state.edit.size > WatchedValue.smallBytes { return nil }
        return allContents(state)
    }

    private func allContents(_ state: State) -> Bytes? {
        guard state.stored != nil || state.edit.isRewritten else { return nil }
        let stored = state.stored ?? []
        let range = state.edit.storedRange(for: 0..<state.edit.size)
        return state.edit.contents(
            of: 0..<state.edit.size, stored: Bytes(stored[range.clamped(to: 0..<stored.count)]))
    }

    private func commands(_ state: State) -> [RedisCommand] {
        let key = state.place.key ?? []
        if case .field(_, let field) = state.place {
            return [RedisCommand("HSET", key, field, allContents(state) ?? [])]
        }
        return Self.commands(for: state.edit.steps(), key)
    }

    static func commands(for steps: [PendingEdit.Step], _ key: Bytes) -> [RedisCommand] {
        steps.map { step in
            switch step {
            case .replace(let bytes): RedisCommand("SET", key, bytes, Bytes("KEEPTTL".utf8))
            case .cut(let length):
                RedisCommand(
                    "EVAL",
                    KeyScripts.call(KeyScripts.cut, keys: [key], [Bytes(decimal: UInt64(length))]))
            case .setRange(let offset, let bytes):
                RedisCommand("SETRANGE", key, Bytes(decimal: UInt64(offset)), bytes)
            case .append(let bytes): RedisCommand("APPEND", key, bytes)
            }
        }
    }

    // MARK: Conflicts

    /// Somebody else has changed the value: what now. Whether there is still something to be stored.
    private func settle(
        _ seen: WatchedValue.Seen, _ state: inout State
    ) throws(Errno) -> Bool {
        switch options.onConflict {
        case .fail:
            state.isConflicted = true
            logger.warning(
                "not stored: somebody else has changed the value while it was edited",
                metadata: Self.metadata(state.place))
            throw .stale
        case .overwrite:
            try prepareOverwriting(seen, &state)
            logger.warning(
                "stored over what somebody else has stored while the value was edited",
                metadata: Self.metadata(state.place))
            return true
        case .keepBoth:
            let side = try storeBeside(seen, &state)
            logger.warning(
                "stored beside what somebody else has stored while the value was edited",
                metadata: Self.metadata(state.place).merging(Self.metadata(side, "beside")) { $1 })
            state.edit = PendingEdit(storedLength: seen.length)
            noteStored(seen, &state)
            state.dirtySince = nil
            return false
        }
    }

    private func prepareOverwriting(
        _ seen: WatchedValue.Seen, _ state: inout State
    ) throws(Errno) {
        let fits: Bool =
            if case .field = state.place { seen.type == nil || seen.type == .hash } else {
                seen.type == nil || seen.type == .string
            }
        if fits, let contents = allContents(state) {
            state.edit.replaceAll(with: contents)
        } else if fits, seen.exists {
            state.edit.rebase(storedLength: seen.length)
        } else {
            state.isConflicted = true
            logger.warning(
                "not stored: the key is gone or of another type now",
                metadata: Self.metadata(state.place))
            throw .stale
        }
        noteStored(seen, &state)
    }

    /// Names for what is stored beside something else.
    private static let maximumSides = 1_000

    private func storeBeside(
        _ seen: WatchedValue.Seen, _ state: inout State
    ) throws(Errno) -> Place {
        for number in 1...Self.maximumSides {
            let mark = Bytes("~conflict-\(number)".utf8)
            switch state.place {
            case .field(let key, let field):
                let contents = allContents(state) ?? []
                let made = try store.perform(
                    RedisCommand("HSETNX", key, field + mark, contents), effect: .once,
                    isBulky: true)
                if try store.integer(made) == 1 { return .field(key: key, field: field + mark) }
            case .value(let key):
                own.note(key + mark)
                if try storeBeside(key, key + mark, seen, state) { return .value(key: key + mark) }
            case .hash, .directory, .updater: throw .invalid
            }
        }
        throw .exists
    }

    /// False when the name is taken.
    private func storeBeside(
        _ key: Bytes, _ side: Bytes, _ seen: WatchedValue.Seen, _ state: State
    ) throws(Errno) -> Bool {
        if let contents = allContents(state) {
            let made = try store.perform(
                RedisCommand("SET", side, contents, Bytes("NX".utf8)), effect: .once, isBulky: true)
            return made != .null
        }
        // Only what was changed here is known: it goes on top of a copy of theirs.
        guard seen.exists, seen.type == .string else { throw .stale }
        let copied = try store.perform(RedisCommand("COPY", key, side), effect: .once)
        guard try store.integer(copied) == 1 else { return false }
        var edit = state.edit
        edit.rebase(storedLength: seen.length)
        let replies = try store.perform(
            Self.commands(for: edit.steps(), side), effect: .once, isBulky: true)
        for reply in replies { _ = try store.checked(reply) }
        return true
    }

    private static func metadata(_ place: Place, _ name: String = "key") -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            name: "\(String(decoding: place.key ?? [], as: UTF8.self))"
        ]
        if case .field(_, let field) = place {
            metadata["field"] = "\(String(decoding: field, as: UTF8.self))"
        }
        return metadata
    }

    // MARK: Changes of the name

    /// Runs `body`, which gives the value another place, while nothing else happens to it.
    func move(
        to place: Place, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        try state.withLock { state throws(Errno) in
            try flush(&state)
            try body()
            state.place = place
            state.watched.move(to: place)
            guard state.hasBegun else { return }
            let seen = try state.watched.watch()
            state.edit = PendingEdit(storedLength: seen.length)
            noteStored(seen, &state)
        }
    }

    /// Runs `body`, which takes the value away, and returns all that it was.
    func remove(limitBytes: Int, _ body: () throws(Errno) -> Void) throws(Errno) -> Bytes? {
        try state.withLock { state throws(Errno) in
            var contents: Bytes?
            if state.hasBegun, !state.isGone, state.edit.size <= limitBytes {
                let range = state.edit.storedRange(for: 0..<state.edit.size)
                contents = state.edit.contents(
                    of: 0..<state.edit.size, stored: try stored(range, state))
            }
            try body()
            state.isGone = true
            state.watched.end()
            return contents
        }
    }

    /// The last handle is closed.
    func end() {
        state.withLock { state in
            if state.edit.isDirty, !state.isGone {
                logger.error(
                    "changes that could not be stored are lost with the last close",
                    metadata: Self.metadata(state.place))
            }
            state.watched.end()
        }
    }
}
