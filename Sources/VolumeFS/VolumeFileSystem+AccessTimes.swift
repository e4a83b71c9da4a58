import FileSystem
import Primitives
import VolumeStore

// Access times: noted in memory when something is read, stored later by a thread of its own.
extension VolumeFileSystem {
    /// Something was read of the inode: its access time follows by the mount's rule.
    func noteAccess(_ state: InodeState) {
        guard options.accessTimes != .noatime, !options.isReadOnly else { return }
        let now = Timestamp.now
        let isNews = state.withFacts { facts in
            guard options.accessTimes.update(facts.record, at: now) else { return false }
            facts.record.accessTime = now
            facts.pending.accessTime = now
            facts.isDirty = true
            return true
        }
        if isNews { lazyTimes.add(state.id) }
    }

    /// Whether a read would move the access time. The kernel must not answer it from its page cache then,
    /// because it would not say so.
    func awaitsAccess(_ record: InodeRecord) -> Bool {
        guard options.accessTimes != .noatime, !options.isReadOnly else { return false }
        return options.accessTimes.update(record, at: .now)
    }

    /// Of an inode that is no regular file nothing else waits to be stored. The caller holds its flush
    /// stripe.
    func storeAccessTime(of state: InodeState) throws(Errno) {
        if let time = state.withFacts({ $0.isRemoved ? nil : $0.pending.accessTime }) {
            do throws(Errno) {
                try store.setAttributes(of: state.id, RecordChange(accessTime: time))
            } catch {
                // Gone meanwhile: so is its access time.
                guard error == .stale else { throw error }
            }
            generations.bump(state.id)
            state.withCommitted { $0.settle(PendingAttributes(accessTime: time)) }
        }
        state.withFacts { facts in
            if facts.isRemoved { facts.pending = PendingAttributes() }
            if facts.pending.isEmpty { facts.isDirty = false }
        }
    }
}

extension AccessTimes {
    /// Whether a read at `now` changes the access time (mount(8), "relatime").
    func update(_ record: InodeRecord, at now: Timestamp) -> Bool {
        let dayNanoseconds: Int64 = 86_400_000_000_000
        switch self {
        case .noatime: return false
        case .strictatime: return true
        case .relatime:
            return record.accessTime <= record.modificationTime
                || record.accessTime <= record.changeTime
                || now.nanoseconds.subtractingReportingOverflow(record.accessTime.nanoseconds)
                    .partialValue >= dayNanoseconds
        }
    }
}
