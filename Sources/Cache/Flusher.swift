import Primitives

/// The threads that flush inodes with old or much dirty data. What they do is decided by
/// `FlushSchedule`; storing is the caller's.
final class Flusher: @unchecked Sendable {
    static let threadCount = 2

    private struct State {
        var schedule: FlushSchedule
        var isStopping = false
        /// Changes whenever a decision may be out of date.
        var changes: UInt64 = 0
    }

    private enum Step {
        case flush(InodeID)
        case wait(until: Int64, seen: UInt64)
        case stop
    }

    private let owners: OwnerTable
    private let pressure: DirtyPressure
    private let state: Monitor<State>
    private let threads = Locked<[WorkerThread]>([])

    init(owners: OwnerTable, pressure: DirtyPressure, ageMilliseconds: Int) {
        self.owners = owners
        self.pressure = pressure
        state = Monitor(State(schedule: FlushSchedule(ageMilliseconds: ageMilliseconds)))
    }

    func start(flush: @escaping @Sendable (InodeID) -> Void) {
        threads.withLock { threads in
            precondition(threads.isEmpty, "the flusher is started once")
            threads = (0..<Self.threadCount).map { index in
                WorkerThread(name: "flusher-\(index)") { [self] in run(flush) }
            }
        }
    }

    /// Waits until running flushes are over.
    func stop() {
        state.change { $0.isStopping = true }
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running { thread.join() }
    }

    /// Makes the threads look again.
    func wake() { state.change { $0.changes &+= 1 } }

    private func run(_ flush: (InodeID) -> Void) {
        while true {
            switch decide() {
            case .stop: return
            case .flush(let owner):
                let before = owners.successes(of: owner)
                flush(owner)
                let after = owners.successes(of: owner)
                finished(owner, progressed: after == nil || after != before)
            case .wait(let instant, let seen):
                let deadline = Deadline(monotonicNanoseconds: instant)
                let _: Bool? = state.wait(until: deadline) { state in
                    state.changes != seen || state.isStopping ? true : nil
                }
            }
        }
    }

    private func decide() -> Step {
        state.withLock { state in
            if state.isStopping { return .stop }
            let isPressed = pressure.isPressed(
                dirtyBytes: owners.dirtyBytes, dirtyBlocks: owners.dirtyBlocks)
            let now = Deadline.now.monotonicNanoseconds
            switch state.schedule.next(
                now: now, isPressed: isPressed, candidates: owners.dirtyOwners)
            {
            case .flush(let owner): return .flush(owner)
            case .wait(let instant): return .wait(until: instant, seen: state.changes)
            }
        }
    }

    private func finished(_ owner: InodeID, progressed: Bool) {
        state.change { state in
            state.changes &+= 1
            state.schedule.finished(
                owner, progressed: progressed, now: Deadline.now.monotonicNanoseconds)
        }
    }
}
