import Primitives

/// Decides what the reaper does next. A value without clock, thread or lock.
///
/// What is deleted is gathered for a moment, because the reaper pays by the trip, not by the item: a
/// program that deletes many files wakes it a few times a second rather than for each of them.
struct ReaperSchedule {
    /// More than that is left to the stored list, which has it too.
    static let capacity = 8_192
    /// How long items wait for others, and for how many.
    static let gatherMilliseconds = 50
    static let gatherItems = 256

    enum Decision: Equatable {
        case reap([GarbageItem])
        case scan
        case stop
        case wait(until: Deadline)
    }

    private var items: [GarbageItem] = []
    /// When the items are due; meaningful while there are some.
    private var due: Deadline
    private var nextScan: Deadline
    private var isStopping = false

    init(nextScan: Deadline) {
        due = nextScan
        self.nextScan = nextScan
    }

    /// Whether the reaper, if it waits, has to look again.
    mutating func add(_ new: [GarbageItem], at now: Deadline) -> Bool {
        guard items.count + new.count <= Self.capacity else {
            nextScan = now
            return true
        }
        let before = items.count
        items += new
        if items.count >= Self.gatherItems {
            due = now
            return before < Self.gatherItems
        }
        if before == 0 { due = now.advanced(byMilliseconds: Self.gatherMilliseconds) }
        return before == 0
    }

    /// The stored list is looked at then, if not earlier.
    mutating func scan(at instant: Deadline) { nextScan = min(nextScan, instant) }

    mutating func stop() { isStopping = true }

    mutating func takeItems() -> [GarbageItem] {
        defer { items = [] }
        return items
    }

    mutating func next(at now: Deadline, followingScan: Deadline) -> Decision {
        if isStopping { return .stop }
        if !items.isEmpty, due <= now { return .reap(takeItems()) }
        if nextScan <= now {
            nextScan = followingScan
            return .scan
        }
        return .wait(until: items.isEmpty ? nextScan : min(due, nextScan))
    }
}

/// What the reaper has to do now, in memory. The stored list has it too: what does not fit here, or is
/// lost with the process, is found there.
final class ReaperQueue: Sendable {
    /// How often the stored list is looked at when nothing is known to be due.
    static let scanMilliseconds = 30_000

    enum Task {
        case reap([GarbageItem])
        case scan
        case stop
    }

    private struct State {
        var schedule = ReaperSchedule(
            nextScan: .after(milliseconds: ReaperQueue.scanMilliseconds))
        /// Moves when a decision may be out of date.
        var changes: UInt64 = 0
    }

    private let state = Monitor(State())

    func add(_ items: [GarbageItem]) {
        guard !items.isEmpty else { return }
        if state.withLock({ $0.schedule.add(items, at: .now) }) {
            state.change { $0.changes &+= 1 }
        }
    }

    func scan(inMilliseconds milliseconds: Int) {
        state.change { state in
            state.schedule.scan(at: .after(milliseconds: milliseconds))
            state.changes &+= 1
        }
    }

    func stop() {
        state.change { state in
            state.schedule.stop()
            state.changes &+= 1
        }
    }

    /// What waits, for a caller who reaps it himself.
    func takeItems() -> [GarbageItem] { state.withLock { $0.schedule.takeItems() } }

    /// Waits until there is something to do.
    func next() -> Task {
        while true {
            let (decision, seen) = state.withLock { state in
                (
                    state.schedule.next(
                        at: .now, followingScan: .after(milliseconds: Self.scanMilliseconds)),
                    state.changes
                )
            }
            switch decision {
            case .reap(let items): return .reap(items)
            case .scan: return .scan
            case .stop: return .stop
            case .wait(let instant):
                let _: Void? = state.wait(until: instant) { $0.changes == seen ? nil : () }
            }
        }
    }
}
