import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

/// A session as it is registered.
public struct SessionReport: Sendable, Equatable {
    public var id: SessionID
    public var host: String
    public var processID: Int32
    public var mountPoint: String
    public var version: String
    public var startedAt: Timestamp
    /// Negative when the lease is over and nobody has cleaned up yet.
    public var leaseMilliseconds: Int64
    /// As of the last renewal of the lease.
    public var openFiles: UInt64
    /// Record locks, flocks and open-file-description locks; as of the last renewal of the lease.
    public var heldLocks: UInt64
    var machine: String

    init(_ id: SessionID, _ pairs: [Pair], leaseMilliseconds: Int64) {
        func text(_ field: Bytes) -> String {
            pairs.first { $0.field == field }.map { String(decoding: $0.value, as: UTF8.self) }
                ?? ""
        }
        self.id = id
        self.leaseMilliseconds = leaseMilliseconds
        host = text(Field.host)
        processID = Int32(text(Field.process)) ?? 0
        mountPoint = text(Field.mountPoint)
        version = text(Field.version)
        machine = text(Field.machine)
        openFiles = UInt64(text(Field.openFiles)) ?? 0
        heldLocks = UInt64(text(Field.heldLocks)) ?? 0
        startedAt = Timestamp(nanoseconds: Int64(text(Field.start)) ?? 0)
    }

    func withLease(milliseconds: Int64) -> SessionReport {
        var report = self
        report.leaseMilliseconds = milliseconds
        return report
    }
}

extension VolumeStore {
    /// This mount's session; 0 when it is read-only.
    public var sessionID: SessionID { membership.id }

    /// No other session is registered, and none can join without this mount hearing of it before it
    /// writes. Batches that rely on it carry a condition on the session epoch.
    public var isAlone: Bool { membership.isAlone }

    /// The registered sessions; two trips.
    public func sessions() throws(Errno) -> [SessionReport] {
        try translated { () throws(StoreError) in try Self.sessions(store, schema) }
    }

    /// Those of `known` are not read again: nothing that the caller needs of them changes.
    static func sessions(
        _ store: any KeyValueStore, _ schema: Schema, known: [SessionID: SessionReport] = [:]
    ) throws(StoreError) -> [SessionReport] {
        let answers = try store.read([
            .time, .members(key: schema.sessions, upTo: .max, limit: Membership.maximumSessions),
        ])
        guard answers.count == 2, case .time(let now) = answers[0],
            case .members(let members) = answers[1]
        else { throw .protocolViolation("unexpected answers") }
        let leases = members.compactMap { member in
            UInt64(decimal: member.name).map { (id: SessionID($0), left: member.score - now) }
        }
        let news = leases.filter { known[$0.id] == nil }
        let hashes = try store.readEach(news.map { .allFields(key: schema.session($0.id)) })
        var reports = known
        for (session, answer) in zip(news, hashes) {
            var pairs: [Pair] = []
            if case .pairs(let found) = answer { pairs = found }
            reports[session.id] = SessionReport(session.id, pairs, leaseMilliseconds: 0)
        }
        return leases.compactMap { session in
            reports[session.id]?.withLease(milliseconds: session.left)
        }
    }

    /// Registers a new session: its number and a range of inode numbers in one batch, then itself.
    func register() throws(StoreError) {
        let taken = try store.commit(
            Batch(
                conditions: [.fieldExists(key: schema.volume, field: Field.nextID)],
                mutations: [
                    increment(Field.nextSession, by: 1),
                    increment(Field.nextID, by: Int64(IdentifierSupply.rangeLength)),
                ]))
        guard case .committed(let sums) = taken, sums.count == 2, sums[0] > 0 else {
            throw .protocolViolation("the volume is gone")
        }
        let id = SessionID(UInt64(sums[0]))
        // A damaged counter is met again by who takes numbers: whoever only reads is not kept from it.
        _ = identifiers.refill(upTo: sums[1])
        let key = schema.session(id)
        let about = membership.description
        let announcement = ChangeMessage(session: id, changes: [.sessions]).stored
        let leaseEnd = Membership.leaseEnd
        let joined = try store.commit(
            Batch(
                conditions: [.fieldExists(key: schema.volume, field: Field.format)],
                mutations: [
                    .setFields(
                        key: key,
                        [
                            Pair(Field.host, Bytes(about.host.utf8)),
                            Pair(Field.process, Bytes(decimal: Int64(about.processID))),
                            Pair(Field.mountPoint, Bytes(about.mountPoint.utf8)),
                            Pair(Field.version, Bytes(about.version.utf8)),
                            Pair(Field.machine, Bytes(about.machine.utf8)),
                            Pair(Field.start, Bytes(decimal: Timestamp.now.nanoseconds)),
                        ]),
                    .addMemberDue(
                        key: schema.sessions, name: Bytes(decimal: id.rawValue),
                        inMilliseconds: Membership.leaseMilliseconds),
                    increment(Field.sessionEpoch, by: 1),
                    .publish(
                        channel: schema.channel, key: schema.volume, field: Field.changes,
                        message: announcement),
                ]))
        guard case .committed = joined else { throw .protocolViolation("the volume is gone") }
        membership.state.change { state in
            state.id = id
            state.key = key
            state.leaseEnd = leaseEnd
            state.isRegistered = true
            state.saysAlone = false
            state.mustWaitForOthers = true
            state.saidUsage = SessionUsage()
        }
        try refreshMembership()
    }

    /// Learns who is registered. Becomes alone, or gives that up, as it is found.
    func refreshMembership() throws(StoreError) {
        let expected = history.withLock { $0 }
        let answers = try store.read([
            .fields(key: schema.volume, [Field.sessionEpoch, Field.changes, Field.losses]),
            .members(key: schema.sessions, upTo: .max, limit: Membership.maximumSessions),
            .allFields(key: schema.crashed),
        ])
        guard answers.count == 3, case .values(let values) = answers[0],
            case .members(let members) = answers[1], case .pairs(let crashed) = answers[2],
            let epoch = values.first.flatMap({ $0 }).flatMap({ Int64(decimal: $0) })
        else { throw .protocolViolation("unexpected answers about sessions") }
        if let loss = expected.loss(in: values) {
            try noteLoss(loss)
        } else {
            life.withLock { $0.hooks }?.onReturn(false)
        }
        history.withLock {
            $0.note(losses: values[2].flatMap { UInt64(decimal: $0) } ?? 0)
        }
        let own = sessionID
        let others = members.compactMap { UInt64(decimal: $0.name).map { SessionID($0) } }
            .filter { $0 != own }
        let isRegistered = members.contains { $0.name == Bytes(decimal: own.rawValue) }
        let (wasAlone, hasChanged) = membership.state.change { state in
            // Nobody becomes alone while this session is registered.
            let hasChanged = state.epoch != epoch || state.mustWaitForOthers
            state.others = others
            state.crashed = Set(crashed.compactMap { UInt64(decimal: $0.field) })
            defer {
                state.epoch = epoch
                if !others.isEmpty || !isRegistered || state.epoch != epoch {
                    state.isAlone = false
                }
            }
            return (state.isAlone, hasChanged)
        }
        if others.isEmpty {
            try becomeAlone(epoch: epoch, wasAlone: wasAlone)
        } else {
            try giveUpBeingAlone()
            if hasChanged || !isRegistered { try lookWhetherOthersAreAlone(others) }
        }
    }

    /// Says `alone` in the session's hash, which holds back whoever joins until it is taken back.
    private func becomeAlone(epoch: Int64, wasAlone: Bool) throws(StoreError) {
        let state = membership.state.withLock { $0 }
        guard state.isSubscribed, state.isRegistered else {
            membership.state.change { $0.mustWaitForOthers = false }
            return
        }
        if wasAlone, state.isAlone { return }
        membership.state.withLock { $0.saysAlone = true }
        let outcome = try commitRaw(
            [
                .fieldEquals(
                    key: schema.volume, field: Field.sessionEpoch, value: Bytes(decimal: epoch))
            ],
            [.setFields(key: state.key, [Pair(Field.alone, Field.one)])])
        guard case .committed = outcome else {
            keeperTask { $0.mustRefresh = true }
            return
        }
        membership.state.change { state in
            state.mustWaitForOthers = false
            if state.isSubscribed, state.epoch == epoch, state.others.isEmpty {
                state.isAlone = true
            }
        }
    }

    /// Waits for calls that rely on being alone, then lets the others write.
    private func giveUpBeingAlone() throws(StoreError) {
        membership.doubt()
        let deadline = Deadline.after(milliseconds: BatchSlots.waitMilliseconds)
        let isDrained: Bool? = membership.state.wait(until: deadline) {
            $0.loneCalls == 0 ? true : nil
        }
        guard isDrained == true else { throw .unavailable("calls that do not end") }
        let state = membership.state.withLock { $0 }
        guard state.saysAlone, state.isRegistered else { return }
        try writeDownLocks()
        life.withLock { $0.hooks }?.beforeSharing()
        _ = try commitRaw(
            [.fieldExists(key: state.key, field: Field.alone)],
            [.deleteFields(key: state.key, [Field.alone]), publish([.sessions])])
        membership.state.withLock { $0.saysAlone = false }
    }

    private func lookWhetherOthersAreAlone(_ others: [SessionID]) throws(StoreError) {
        let answers = try store.readEach(
            others.map { .fields(key: schema.session($0), [Field.alone, Field.start]) })
        var isAnyAlone = false
        for (other, answer) in zip(others, answers) {
            guard case .values(let values)? = answer, values.count == 2 else {
                isAnyAlone = isAnyAlone || answer != nil
                continue
            }
            if values[0] != nil { isAnyAlone = true }
            // Its hash is gone, so somebody is cleaning up after it: what it has sent must not arrive behind
            // what is stored from now on.
            if values[1] == nil { try store.end(session: schema.session(other)) }
        }
        membership.state.change { $0.mustWaitForOthers = isAnyAlone }
    }

    /// Holds a change back while another session may still believe that it is alone, and replace blocks
    /// without looking, give locks without asking, or trust what it has cached:
    /// until it answered our joining, or its lease is over.
    public func awaitPermissionToWrite() throws(Errno) {
        if !membership.state.withLock({ $0.mustWaitForOthers }) { return }
        let deadline = Deadline.after(milliseconds: 2 * Int(Membership.leaseMilliseconds))
        let isAllowed: Bool? = membership.state.wait(until: deadline) {
            $0.mustWaitForOthers ? nil : true
        }
        guard isAllowed == true else {
            logger.error("another session neither answers nor ends")
            throw .ioError
        }
    }

    /// The store refuses blocks of a session that is gone (`KeyValueStore.end(session:)`). None are even sent
    /// once others may have taken this one for dead: the lease is renewed first, or this mount learns that it
    /// is fenced. That is all there is where the server's user may not list and end connections.
    func requireLease() throws(Errno) {
        guard membership.state.withLock({ $0.leaseEnd.hasPassed }) else { return }
        try translated { () throws(StoreError) in try renewLease() }
    }

    /// One batch: the lease, and what is in use if that has changed.
    func renewLease() throws(StoreError) {
        let (own, key, said) = membership.state.withLock { ($0.id, $0.key, $0.saidUsage) }
        let leaseEnd = Membership.leaseEnd
        let usage = SessionUsage(
            openFiles: life.withLock { $0.hooks }?.openFileCount() ?? 0, heldLocks: heldLockCount)
        let name = Bytes(decimal: own.rawValue)
        let outcome = try commitRaw(
            // A new session may have been registered since: then nothing of the old one may come back.
            [.keyExists(key)],
            [
                // First a removal, so that a full store does not refuse the batch.
                .removeMember(key: schema.sessions, name: name),
                .addMemberDue(
                    key: schema.sessions, name: name,
                    inMilliseconds: Membership.leaseMilliseconds),
            ] + (said == usage ? [] : [.setFields(key: key, usage.fields)]))
        guard case .committed = outcome else { return }
        membership.state.withLock { state in
            guard state.id == own else { return }
            state.leaseEnd = leaseEnd
            state.saidUsage = usage
        }
    }

    /// Cleans up after sessions whose lease is over, and learns who is registered.
    func lookAfterSessions() throws(StoreError) {
        let own = sessionID
        let known = membership.state.withLock { $0.reports }
        let reports = try Self.sessions(store, schema, known: known)
        membership.state.withLock { state in
            state.reports = Dictionary(
                reports.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        }
        for report in reports where report.id != own {
            let isOver =
                report.leaseMilliseconds < 0
                || MachineIdentity.isGone(report.processID, machine: report.machine)
            if isOver { try cleanUp(after: report) }
        }
        try refreshMembership()
    }

    /// Ends another session: fences it, ends what is on its way to the store, reaps what it held open, gives
    /// its locks away, then takes it off the list.
    private func cleanUp(after report: SessionReport) throws(StoreError) {
        let id = report.id
        logger.notice(
            "cleaning up after a session that is gone",
            metadata: ["session": "\(id)", "host": "\(report.host)"])
        _ = try commitRaw([], [.delete(key: schema.session(id))])
        try store.end(session: schema.session(id))
        try reapOrphans(of: id)
        try releaseLocks(of: id)
        _ = try commitRaw(
            [],
            [
                .delete(key: schema.orphans(id)), .delete(key: schema.lockedInodes(id)),
                .delete(key: schema.waits(id)),
                .removeMember(key: schema.sessions, name: Bytes(decimal: id.rawValue)),
                .setFields(key: schema.crashed, [Pair(Bytes(decimal: id.rawValue), Field.one)]),
                increment(Field.sessionEpoch, by: 1),
                publish([.sessions]),
            ])
    }

    /// Takes this session off the list.
    func deregister() throws(StoreError) {
        let state = membership.state.withLock { $0 }
        guard state.isRegistered else { return }
        // Without an id: the hash that would remember the answer goes with this batch.
        _ = try store.commit(
            Batch(
                conditions: [.keyExists(state.key)],
                mutations: [
                    .delete(key: state.key),
                    .delete(key: schema.orphans(state.id)),
                    .delete(key: schema.lockedInodes(state.id)),
                    .delete(key: schema.waits(state.id)),
                    .removeMember(
                        key: schema.sessions, name: Bytes(decimal: state.id.rawValue)),
                    increment(Field.sessionEpoch, by: 1),
                    publish([.sessions]),
                ]))
        membership.state.change {
            $0.isRegistered = false
            $0.isAlone = false
        }
    }
}
