// What a volume is stored in: a dict with atomic conditional batches.
//
// This module is the contract between the filesystem and whatever keeps its data. It knows neither
// files nor sockets: keys, fields and values are bytes. Two stores fulfil it, `MemoryStore` here and
// `RedisStore` in module Redis; one contract test suite holds both to it.
//
// Invariants:
//  1. A list of reads is answered in one round trip, in order, each read atomic by itself.
//  2. A batch happens whole or not at all, and in one round trip. No mutation can fail after the first
//     one ran: kinds of keys, integer fields and memory are checked before.
//  3. A batch with an id takes effect exactly once, however often it is sent.
//  4. Blocks given to `store(_:then:)` are stored before the batch that follows them happens; when one
//     of them is refused, the batch does not happen.
//  5. A store whose memory is limited refuses blocks while there is still room for batches
//     (`StoreStatus.reserveBytes`), as far as it knows what others store at the same moment.
//  6. Nothing waits without limit: each call ends by the deadline that the store was set up with.

import Primitives

/// A key, field or value: any bytes.
public typealias Bytes = [UInt8]

/// A store of string values, hashes (field → value) and ordered sets (member → score), with atomic
/// conditional batches and a bulk path for blocks.
///
/// Calls come from any thread, at the same time; those that meet share round trips where they can.
public protocol KeyValueStore: AnyObject, Sendable {
    /// Answers `reads` in order, in one round trip. Each `ReadAnswer` has the case that its `Read` asks
    /// for. A key of another kind than a read expects is `StoreError.wrongKind`.
    func read(_ reads: [Read]) throws(StoreError) -> [ReadAnswer]

    /// Applies `batch` atomically, in one round trip, or names the first condition that does not hold.
    func commit(_ batch: Batch) throws(StoreError) -> CommitOutcome

    /// Reads blocks, pipelined; an answer for each request, in order. The destinations are lent for the
    /// length of the call.
    func load(_ requests: [BlockLoad]) throws(StoreError) -> [BlockLoadAnswer]

    /// Stores blocks, pipelined, in order, then applies `batch` behind them: one round trip for all.
    /// The payloads are lent for the length of the call. On `StoreError.outOfMemory` some of the blocks
    /// may have been stored, but the batch did not happen.
    ///
    /// A write whose own condition fails (`.conflict`) stops nothing else, except that the batch does
    /// not happen when `batch` is given: the outcome is then nil.
    ///
    /// `session`: the key of the hash of the session whose blocks these are. Once that is deleted, the call
    /// fails with `StoreError.fenced`; some of the blocks may have been stored before. `nil`: nobody's.
    func store(
        _ writes: [BlockWrite], then batch: Batch?, by session: Bytes?
    ) throws(StoreError) -> StoreOutcome

    /// Deletes keys of any kind, pipelined, releasing their memory in the background. Absent keys are
    /// no error. `session`: as for `store`.
    func drop(_ keys: [Bytes], by session: Bytes?) throws(StoreError)

    /// Ends what is still under way for a session whose hash was deleted before: once this has returned, no
    /// `store` or `drop` by it changes anything, however late it arrives, and whoever made it.
    func end(session: Bytes) throws(StoreError)

    /// Calls `handler` with each message published on `channel` from now on, in order, from a thread of
    /// the store's own, until the subscription is cancelled. `.interrupted` says that messages may have
    /// been lost; `.established` that none is lost from here on (also the first time).
    func subscribe(
        to channel: Bytes, handler: @escaping @Sendable (SubscriptionEvent) -> Void
    ) throws(StoreError) -> any Subscription

    /// What the store says of itself; one round trip.
    func status() throws(StoreError) -> StoreStatus

    /// Whether other processes can reach what is stored here.
    var isShared: Bool { get }

    /// How many round trips this store has made, for the budgets that tests count. Subscriptions and
    /// keep-alives do not count.
    var roundTrips: UInt64 { get }

    /// Ends every connection. Calls after that fail with `StoreError.closed`.
    func close()
}

extension KeyValueStore {
    public var isShared: Bool { true }
}

/// One message or change of state of a subscription.
public enum SubscriptionEvent: Sendable, Equatable {
    case established
    case message(Bytes)
    case interrupted
}

/// A running subscription.
public protocol Subscription: AnyObject, Sendable {
    /// No handler runs once this has returned, unless it is called from the handler itself.
    func cancel()

    /// Once everything that has come is delivered, the next message may wait for as many milliseconds as
    /// `patience` says then, so that many of them cost one waking-up. A store may deliver at once.
    func setPatience(_ patience: @escaping @Sendable () -> Int)
}

extension Subscription {
    public func setPatience(_ patience: @escaping @Sendable () -> Int) {}
}

/// Why a store could not do what it was asked.
public enum StoreError: Error, Hashable, Sendable {
    /// No answer before the deadline; a batch with an id has certainly not been left half done, and was
    /// not sent again; whether it happened is not known.
    case unavailable(String)
    /// The store refuses growth: it is full, or for blocks: what is left is its reserve for batches. Nothing
    /// of a batch happened.
    case outOfMemory
    /// The store takes no changes (a replica).
    case readOnly
    /// The batch's session is not registered any more: its lease ran out and somebody cleaned up.
    case fenced
    /// A key is of another kind (string, hash, ordered set) than the call needs, or a field that is to
    /// be incremented holds no number.
    case wrongKind
    /// The store answered something that its protocol does not allow, or refused a command.
    case protocolViolation(String)
    /// Wrong user or password, or not allowed to run a command or touch a key.
    case notAuthorized(String)
    /// `close()` has been called.
    case closed
}

/// What a store says of itself.
public struct StoreStatus: Sendable, Equatable {
    /// For people: `redis 7.0.15` or `memory`.
    public var product: String
    /// Bytes of memory in use.
    public var usedBytes: UInt64
    /// Bytes of memory that the store may use; 0 when it sets no limit.
    public var limitBytes: UInt64
    /// How many of these are for batches only: blocks are refused before.
    public var reserveBytes: UInt64 { MemoryReserve.bytes(ofLimit: limitBytes) }
    /// Bytes of memory of the machine it runs on; 0 when not known.
    public var machineBytes: UInt64
    /// Whether the store may throw keys away when it is full.
    public var mayEvict: Bool
    /// Whether changes survive a restart of the store, and how much of them.
    public var persistence: Persistence
    /// Whether the store takes no changes (a replica).
    public var isReadOnly: Bool
    /// Replicas that are connected just now.
    public var replicas: Int
    /// Whether others have some of the keys (a node of a cluster).
    public var isClusterNode = false

    public enum Persistence: String, Sendable, Codable {
        /// Nothing survives.
        case none
        /// What the last snapshot held.
        case snapshots
        /// All but the last second.
        case everySecond
        /// Everything that was answered.
        case always
    }

    public init(
        product: String, usedBytes: UInt64, limitBytes: UInt64, machineBytes: UInt64,
        mayEvict: Bool, persistence: Persistence, isReadOnly: Bool, replicas: Int = 0
    ) {
        self.replicas = replicas
        self.product = product
        self.usedBytes = usedBytes
        self.limitBytes = limitBytes
        self.machineBytes = machineBytes
        self.mayEvict = mayEvict
        self.persistence = persistence
        self.isReadOnly = isReadOnly
    }
}
