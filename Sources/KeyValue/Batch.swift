/// A list of conditions and a list of mutations, to be applied atomically or not at all.
///
/// A batch is a plain value: it can be kept, ordered, compared and sent again. Mutations happen in the
/// order given. On a full store a batch is refused whole when its first mutation needs memory, and
/// carried out whole when its first mutation releases some: so put deletions first in a batch that is
/// meant to make room.
public struct Batch: Hashable, Sendable {
    /// Makes the batch take effect once, however often it is sent. A batch without an id is not sent
    /// again after a connection was lost while its answer was awaited.
    public var id: BatchID?
    public var conditions: [Condition]
    public var mutations: [Mutation]

    public init(id: BatchID? = nil, conditions: [Condition] = [], mutations: [Mutation] = []) {
        self.id = id
        self.conditions = conditions
        self.mutations = mutations
    }

    /// How many bytes of blocks go with it; `nil`: it appends nothing.
    package var appendedBytes: Int? {
        guard case .append(let append)? = mutations.first else { return nil }
        return append.payload.count
    }
}

/// Names a batch among those of its session: the store keeps the last id of each slot, with its answer,
/// in the hash `session` under the field `b<slot>`.
///
/// When that hash does not exist, the batch fails with `StoreError.fenced`. A slot holds one batch at a
/// time: it is used again, with the next sequence number, once the answer to the last one has come.
public struct BatchID: Hashable, Sendable {
    /// The key of the session's hash.
    public var session: Bytes
    /// 0 to 63.
    public var slot: Int
    /// Ascending from 1 in each slot.
    public var sequence: UInt64

    public init(session: Bytes, slot: Int, sequence: UInt64) {
        self.session = session
        self.slot = slot
        self.sequence = sequence
    }
}

/// Something that has to hold for a batch to happen. All are judged before the first mutation.
public enum Condition: Hashable, Sendable {
    case keyExists(Bytes)
    /// Also says that a hash has no fields: an empty hash does not exist.
    case keyAbsent(Bytes)
    case fieldExists(key: Bytes, field: Bytes)
    case fieldAbsent(key: Bytes, field: Bytes)
    case fieldEquals(key: Bytes, field: Bytes, value: Bytes)
    /// Fails when the key is absent.
    case valueEquals(key: Bytes, value: Bytes)
}

/// One change of a batch.
public enum Mutation: Hashable, Sendable {
    /// Gives a string key a value, whatever it held.
    case set(key: Bytes, value: Bytes)
    /// Deletes a key of any kind.
    case delete(key: Bytes)
    /// Sets fields of a hash, which is made when absent.
    case setFields(key: Bytes, [Pair])
    /// Deletes fields; the hash goes with the last of them.
    case deleteFields(key: Bytes, [Bytes])
    /// Adds to a field that holds a decimal number, 0 when absent. The sum is part of the outcome.
    /// Sums stay within ±2^53.
    case increment(key: Bytes, field: Bytes, by: Int64)
    /// Sets a field to `to` unless it holds a greater number. Any signed 64-bit number.
    case raise(key: Bytes, field: Bytes, to: Int64)
    /// Adds to an ordered set, or gives a member that is there another score.
    case addMember(key: Bytes, Member)
    case removeMember(key: Bytes, name: Bytes)
    /// As `addMember`, with the store's clock (milliseconds since 1970) plus `milliseconds` as score.
    case addMemberDue(key: Bytes, name: Bytes, inMilliseconds: Int64)
    /// Increments `field` of the hash `key` and publishes `<number> <message>` on `channel`. The sum is
    /// part of the outcome. Several in one batch are several messages.
    case publish(channel: Bytes, key: Bytes, field: Bytes, message: Bytes)
    /// Puts bytes behind those that blocks hold. Two numbers are part of the outcome: the new length, and how
    /// many blocks were made.
    case append(BlockAppend)
}

/// What became of a batch.
public enum CommitOutcome: Hashable, Sendable {
    /// It happened. The sums of its `increment`, `publish` and `append` mutations, in order.
    case committed(sums: [Int64])
    /// Nothing happened: the condition at this index did not hold, those before it did. An index behind the
    /// last condition says that an `append` does not fit.
    case conditionFailed(index: Int)
}
