import KeyValue
import Logging
import Primitives
import Telemetry

/// How far this mount has seen the volume get. A store that is behind that has lost changes that it had
/// acknowledged: a server that was started again from an older file, or a replica that had not got all. A
/// value behind a lock.
struct History: Equatable {
    /// The greatest number of a change that was committed or heard here.
    private(set) var greatestChange: UInt64 = 0
    /// How many losses were noted in the volume; `nil`: not read yet.
    private(set) var losses: UInt64?

    /// A change got a number that was given out before it was asked for.
    private(set) var wentBack = false

    struct Loss: Equatable {
        /// What the store has; less than what was seen, unless another mount noticed first.
        var change: UInt64
        var losses: UInt64
        var greatestChange: UInt64
        var isNoted: Bool
    }

    mutating func note(change: UInt64) { greatestChange = max(greatestChange, change) }

    /// A change that was committed when the volume had been seen to get as far as `before`.
    mutating func note(change: UInt64, askedAt before: UInt64) {
        if change <= before { wentBack = true }
        note(change: change)
    }

    mutating func noteLossStored() { wentBack = false }

    mutating func note(losses: UInt64) { self.losses = max(self.losses ?? 0, losses) }

    /// What the fields `se`, `v` and `lost` of a volume say that were read after this value was taken.
    func loss(in values: [Bytes?]) -> Loss? {
        guard values.count == 3 else { return nil }
        let change = values[1].flatMap { UInt64(decimal: $0) } ?? 0
        let found = values[2].flatMap { UInt64(decimal: $0) } ?? 0
        let isNoted = losses.map { found > $0 } ?? false
        guard change < greatestChange || isNoted || wentBack else { return nil }
        return Loss(
            change: change, losses: found, greatestChange: greatestChange, isNoted: isNoted)
    }
}

extension VolumeStore {
    /// After a batch: how far the volume is. The change message is the last mutation, if there is one.
    ///
    /// `before` is the greatest change that was known when the batch was sent. A store that went back gives a
    /// number up to that to the first batch it gets, whoever looks later than that.
    func noteHistory(
        _ outcome: CommitOutcome, _ mutations: [Mutation], askedAt before: UInt64
    ) {
        guard case .committed(let sums) = outcome, case .publish? = mutations.last,
            let number = sums.last, number > 0
        else { return }
        let wentBack = history.withLock { history in
            history.note(change: UInt64(number), askedAt: before)
            return history.wentBack
        }
        if wentBack { keeperTask { $0.mustRefresh = true } }
    }

    var greatestChange: UInt64 { history.withLock { $0.greatestChange } }

    /// The store went back: says so in the log and in the volume, where `apusfs status` and other mounts find
    /// it, makes sure that no number is given out twice, and has stored again what is still held.
    func noteLoss(_ loss: History.Loss) throws(StoreError) {
        logger.error(
            "THE STORE HAS LOST CHANGES that it had acknowledged",
            metadata: ["had": "\(loss.greatestChange)", "has": "\(loss.change)"])
        metrics.add(.storeLosses)
        identifiers.discard()
        known.forgetAll()
        var mutations: [Mutation] = [
            .raise(
                key: schema.volume, field: Field.nextID,
                to: Int64(clamping: identifiers.greatestTaken)),
            .raise(
                key: schema.volume, field: Field.changes, to: Int64(clamping: loss.greatestChange)),
        ]
        if !loss.isNoted {
            mutations += [
                increment(Field.losses, by: 1),
                .setFields(
                    key: schema.volume,
                    [Pair(Field.lastLoss, Bytes(decimal: Timestamp.now.nanoseconds))]),
            ]
        }
        let outcome = try commitRaw([], mutations + [publish([.sessions])])
        history.withLock { $0.noteLossStored() }
        history.withLock { $0.note(losses: loss.losses + (loss.isNoted ? 0 : 1)) }
        guard case .committed = outcome else { return }
        life.withLock { $0.hooks }?.onReturn(true)
        announce(.everything)
    }
}
