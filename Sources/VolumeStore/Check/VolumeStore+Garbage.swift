public import KeyValue
import Primitives

/// What waits to be collected in a volume.
public struct GarbageReport: Sendable, Equatable {
    /// Members of the garbage list.
    public var members = 0
    /// Those whose time has come.
    public var due = 0
    /// Keys that they name, of which some may be absent.
    public var blocks: UInt64 = 0
    /// Inodes without names.
    public var inodes = 0
    /// Sessions whose mounts ended without closing.
    public var expiredSessions = 0
}

extension VolumeStore {
    /// Looks at the garbage of a volume that is not mounted here; changes nothing.
    public static func garbage(
        _ store: any KeyValueStore, name: VolumeName
    ) throws(VolumeError) -> GarbageReport {
        _ = try readSettings(store, name: name)
        let schema = Schema(name)
        let sessions = try sessions(store, name: name)
        return try translating { () throws(StoreError) in
            let answers = try store.read([
                .time,
                .members(key: schema.garbage, upTo: .max, limit: CheckReader.maximumMembers),
            ])
            guard answers.count == 2, case .time(let now) = answers[0],
                case .members(let members) = answers[1]
            else { throw .protocolViolation("unexpected answers about garbage") }
            var report = GarbageReport()
            report.members = members.count
            report.due = members.count { $0.score <= now }
            report.expiredSessions = sessions.count {
                $0.leaseMilliseconds < 0
                    || MachineIdentity.isGone($0.processID, machine: $0.machine)
            }
            for member in members {
                do throws(FormatError) {
                    switch try GarbageItem(parsing: member.name) {
                    case .blocks(_, let range): report.blocks += UInt64(range.count)
                    case .chunks, .tail: break
                    case .inode: report.inodes += 1
                    }
                } catch {
                    continue
                }
            }
            return report
        }
    }

    /// Cleans up after sessions that ended without closing, and reaps what is due; everything when no
    /// other session is there. Returns how many members are done with.
    public func collectGarbage() throws(VolumeError) -> Int {
        try Self.translating { () throws(StoreError) in
            try renewLease()
            try lookAfterSessions()
            let isLast = membership.state.withLock { $0.others.isEmpty }
            var count = 0
            for _ in 0..<RecordLimits.scans {
                let done = try scanGarbage(includingNotDue: isLast)
                if done == 0 { break }
                count += done
            }
            return count
        }
    }
}
