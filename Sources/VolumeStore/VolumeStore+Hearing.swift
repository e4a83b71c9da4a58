import FileSystem
import KeyValue
public import Primitives
import Synchronization

/// How far the messages of other mounts have been heard, and acted upon. A value behind a lock.
struct Hearing {
    /// The subscription stands.
    var isListening = false
    /// The number of the last message; `nil` until one came since the subscription was made.
    var last: UInt64?
}

/// A record with the moment that it is of.
public struct DatedRecord: Sendable {
    /// `nil`: the inode is gone.
    public var record: InodeRecord?
    /// The number of the last change that the volume had seen when this was read, or a little later.
    public var change: UInt64
}

extension VolumeStore {
    /// How long a message may be on its way before its receiver goes on without it.
    private static let hearingMilliseconds = 1_000

    /// What other mounts change is heard: what is cached is true, or will be told to be false.
    public var hearsChanges: Bool { hearsNow.load(ordering: .acquiring) }

    /// One trip.
    public func datedRecord(of inode: InodeID) throws(Errno) -> DatedRecord {
        let answers = try read([
            .allFields(key: schema.inode(inode)),
            .fields(key: schema.volume, [Field.changes]),
        ])
        guard case .pairs(let pairs) = answers[0], case .values(let values) = answers[1] else {
            throw answerMismatch()
        }
        let change = values.first.flatMap { $0 }.flatMap { UInt64(decimal: $0) } ?? 0
        guard !pairs.isEmpty else {
            known.forget(inode)
            return DatedRecord(record: nil, change: change)
        }
        return DatedRecord(
            record: try parsedRecord(HashList(pairs), at: 0, id: inode), change: change)
    }

    /// Waits until every change up to `change` has been acted upon. False when that cannot be known:
    /// whoever cached something has to drop it.
    public func hasHeard(_ change: UInt64) -> Bool {
        let known: Bool? = hearing.withLock { Self.judge($0, change) }
        if let known { return known }
        let deadline = Deadline.after(milliseconds: Self.hearingMilliseconds)
        return hearing.wait(until: deadline) { Self.judge($0, change) } ?? false
    }

    /// `nil`: to be waited for.
    private static func judge(_ hearing: Hearing, _ change: UInt64) -> Bool? {
        guard hearing.isListening, let last = hearing.last else { return false }
        return last >= change ? true : nil
    }

    /// The subscription was made or lost.
    func listen(_ isListening: Bool) {
        hearing.change { $0 = Hearing(isListening: isListening) }
        hearsNow.store(isListening, ordering: .releasing)
    }

    /// A message has been acted upon.
    func heard(_ number: UInt64) {
        hearing.change { $0.last = number }
        history.withLock { $0.note(change: number) }
    }
}
