import FileSystem
import KeyValue
import Logging
import Primitives
import Telemetry

/// Bounds of what is tried again.
enum Rounds {
    /// An operation whose beliefs failed is decided anew at most so often: each failure means that
    /// somebody else's change of the same names or inode happened.
    static let decisions = 64
}

extension VolumeStore {
    /// Applies a batch exactly once, under an id of this session.
    func commit(
        _ conditions: [Condition], _ mutations: [Mutation]
    ) throws(Errno) -> CommitOutcome {
        try translated { () throws(StoreError) in
            try commitRaw(conditions, mutations)
        }
    }

    func commitRaw(
        _ conditions: [Condition], _ mutations: [Mutation]
    ) throws(StoreError) -> CommitOutcome {
        guard !isReadOnly else { throw .readOnly }
        let before = greatestChange
        let outcome = try slots.withID(session: membership.key(schema)) { id throws(StoreError) in
            try store.commit(Batch(id: id, conditions: conditions, mutations: mutations))
        }
        noteHistory(outcome, mutations, askedAt: before)
        return outcome
    }

    /// Sends reads in one round trip.
    func read(_ reads: [Read]) throws(Errno) -> [ReadAnswer] {
        let answers = try translated { () throws(StoreError) in try store.read(reads) }
        precondition(answers.count == reads.count, "a store answers each read")
        return answers
    }

    /// The mutation that tells other mounts.
    func publish(_ changes: [RemoteChange]) -> Mutation {
        .publish(
            channel: schema.channel, key: schema.volume, field: Field.changes,
            message: ChangeMessage(session: sessionID, changes: changes).stored)
    }

    func increment(_ field: Bytes, by amount: Int64) -> Mutation {
        .increment(key: schema.volume, field: field, by: amount)
    }

    /// Runs `body`, which talks to the store, and turns what fails into an error number.
    func translated<Result>(
        _ body: () throws(StoreError) -> Result
    ) throws(Errno) -> Result {
        do throws(StoreError) {
            return try body()
        } catch {
            throw errno(for: error)
        }
    }

    /// The one place where a failure of the store becomes an error number.
    func errno(for error: StoreError) -> Errno {
        switch error {
        case .unavailable, .closed: return .ioError
        case .outOfMemory: return .noSpace
        case .readOnly: return .readOnlyFileSystem
        case .notAuthorized(let text):
            logger.error("the store refuses access", metadata: ["error": "\(text)"])
            return .ioError
        case .fenced:
            if membership.fence() {
                logger.error("this mount's session is gone: its lease ran out")
                let locked = failWaiters(with: .ioError)
                keeperTask {
                    $0.mustRegister = true
                    $0.lostLocks += locked
                }
            }
            return .ioError
        case .wrongKind:
            metrics.add(.malformedRecords)
            logger.error("a key of the volume is of the wrong kind")
            return .ioError
        case .protocolViolation(let text):
            metrics.add(.malformedRecords)
            logger.error("the store broke its protocol", metadata: ["error": "\(text)"])
            return .ioError
        }
    }

    /// Says once, in the log and in a counter, that what is stored under `key` cannot be right.
    func malformed(_ key: Bytes, _ what: String) -> Errno {
        metrics.add(.malformedRecords)
        logger.error(
            "a stored record cannot be right",
            metadata: ["key": "\(String(decoding: key, as: UTF8.self))", "what": "\(what)"])
        return .ioError
    }

    /// An operation met other mounts' changes in every round.
    func tooManyRounds(_ operation: String) -> Errno {
        logger.error("gave up after \(Rounds.decisions) rounds", metadata: ["in": "\(operation)"])
        return .ioError
    }

    func answerMismatch() -> Errno {
        errno(for: .protocolViolation("an answer of another kind than the read asked for"))
    }
}
