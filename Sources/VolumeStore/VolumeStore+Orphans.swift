import FileSystem
import KeyValue
import Logging
public import Primitives
import Telemetry

// An inode that lost its last name while it was open stays until its last close: it has no links, the
// field `z`, and stands in the hash `{V}o<session>` of each session that holds it open.

extension VolumeStore {
    /// Last close of an inode without names: its record goes, its data goes to the garbage list. Never
    /// throws: what fails is done when the session ends, or by whoever cleans up after it.
    public func removeOrphan(_ inode: InodeID) {
        do throws(StoreError) {
            if isAlone {
                try reapOrphan(inode, of: sessionID)
            } else {
                // Other sessions may have it open and not have said so yet.
                _ = try commitRaw(
                    [],
                    [
                        .deleteFields(
                            key: schema.orphans(sessionID), [Bytes(decimal: inode.rawValue)]),
                        .addMemberDue(
                            key: schema.garbage, name: GarbageItem.inode(inode).stored,
                            inMilliseconds: Reaping.graceMilliseconds),
                    ])
                reaper.scan(inMilliseconds: Int(Reaping.graceMilliseconds) + 100)
            }
        } catch {
            let errno = errno(for: error)
            logger.warning(
                "a deleted file is not removed yet",
                metadata: ["inode": "\(inode)", "error": "\(errno)"])
        }
    }

    /// Another mount removed the last name of an inode that is open here: keeps it until
    /// `removeOrphan(_:)`. ESTALE when it is gone already.
    public func claimOrphan(_ inode: InodeID) throws(Errno) {
        let outcome = try commit(
            [.keyExists(schema.inode(inode))], [claim(inode)])
        if case .conditionFailed = outcome { throw .stale }
    }

    func claim(_ inode: InodeID) -> Mutation {
        .setFields(
            key: schema.orphans(sessionID), [Pair(Bytes(decimal: inode.rawValue), Field.one)])
    }

    /// Reaps everything that a session held open.
    func reapOrphans(of session: SessionID) throws(StoreError) {
        var cursor: UInt64 = 0
        repeat {
            let answers = try store.read([
                .page(key: schema.orphans(session), cursor: cursor, limit: Reaping.membersPerBatch)
            ])
            guard answers.count == 1, case .page(let next, let pairs) = answers[0] else {
                throw .protocolViolation("unexpected answer about orphans")
            }
            for pair in pairs {
                guard let number = UInt64(decimal: pair.field) else {
                    _ = malformed(schema.orphans(session), "an inode that is no number")
                    continue
                }
                try reapOrphan(InodeID(number), of: session)
            }
            cursor = next
        } while cursor != 0
    }

    /// Gives up the hold of `session`, and the inode with it unless another session holds it too.
    private func reapOrphan(_ inode: InodeID, of session: SessionID) throws(StoreError) {
        let release = Mutation.deleteFields(
            key: schema.orphans(session), [Bytes(decimal: inode.rawValue)])
        _ = try remove(inode, releasing: release, exceptFor: session)
    }

    /// The same for an inode that stands on the garbage list. Returns whether it is off the list.
    func reapNameless(_ inode: InodeID) throws(StoreError) -> Bool {
        let release = Mutation.removeMember(
            key: schema.garbage, name: GarbageItem.inode(inode).stored)
        return try remove(inode, releasing: release, exceptFor: nil)
    }

    /// Removes a nameless inode if no session but `exempt` holds it; carries `release` out either way.
    private func remove(
        _ inode: InodeID, releasing release: Mutation, exceptFor exempt: SessionID?
    ) throws(StoreError) -> Bool {
        for _ in 0..<Rounds.decisions {
            let (record, epoch, holders) = try lookAtNameless(inode, exempt)
            guard let record, record.linkCount == 0 else {
                _ = try commitRaw([], [release])
                return true
            }
            let field = Bytes(decimal: inode.rawValue)
            if let holder = holders.holding.first {
                let outcome = try commitRaw(
                    [.fieldExists(key: schema.orphans(holder), field: field)], [release])
                if case .committed = outcome { return true }
                continue
            }
            var conditions = removalConditions(record)
            conditions.append(
                .fieldEquals(
                    key: schema.volume, field: Field.sessionEpoch, value: Bytes(decimal: epoch)))
            for session in holders.registered where session != exempt {
                conditions.append(.fieldAbsent(key: schema.orphans(session), field: field))
            }
            let (mutations, garbage) = removal(of: record, dueMilliseconds: 0)
            let outcome = try commitRaw(conditions, [release] + mutations)
            if case .committed = outcome {
                known.forget(inode)
                reaper.add(garbage)
                return true
            }
        }
        return false
    }

    private func lookAtNameless(
        _ inode: InodeID, _ exempt: SessionID?
    ) throws(StoreError) -> (
        record: InodeRecord?, epoch: Int64, (registered: [SessionID], holding: [SessionID])
    ) {
        let state = membership.state.withLock { $0 }
        let answers = try store.read([
            .allFields(key: schema.inode(inode)),
            .fields(key: schema.volume, [Field.sessionEpoch]),
            .members(key: schema.sessions, upTo: .max, limit: Membership.maximumSessions),
        ])
        guard answers.count == 3, case .pairs(let pairs) = answers[0],
            case .values(let values) = answers[1], case .members(let members) = answers[2],
            let epoch = values.first.flatMap({ $0 }).flatMap({ Int64(decimal: $0) })
        else { throw .protocolViolation("unexpected answers about an orphan") }
        var record: InodeRecord?
        if !pairs.isEmpty {
            do throws(FormatError) {
                record = try InodeRecord(parsing: pairs, id: inode)
            } catch {
                _ = malformed(schema.inode(inode), error.what)
            }
        }
        let registered = members.compactMap { UInt64(decimal: $0.name).map { SessionID($0) } }
        let others = registered.filter { $0 != exempt }
        guard !others.isEmpty, !(state.isAlone && exempt == state.id) else {
            return (record, epoch, (registered, []))
        }
        let field = Bytes(decimal: inode.rawValue)
        let holds = try store.read(
            others.map { .fields(key: schema.orphans($0), [field]) })
        let holding = zip(others, holds).filter { $0.1 != .values([nil]) }.map { $0.0 }
        return (record, epoch, (registered, holding))
    }
}
