import Primitives

/// Decides which owner's dirty data is flushed next. A value without clock, thread or lock.
///
/// Whoever has had dirty data for longest comes first. An owner whose flush failed is left alone for a
/// while, which doubles up to a limit, so that an unreachable store is not asked without pause.
struct FlushSchedule {
    struct Candidate: Equatable, Sendable {
        var owner: InodeID
        /// Nanoseconds of CLOCK_MONOTONIC.
        var oldestDirty: Int64
    }

    enum Action: Equatable {
        case flush(InodeID)
        /// Nothing to do before this instant, unless a flush ends or there is suddenly much to flush.
        case wait(until: Int64)
    }

    static let firstPauseNanoseconds: Int64 = 100_000_000
    /// The shortest time between two looks for new dirty data.
    static let shortestWaitNanoseconds: Int64 = 10_000_000
    static let pauseLimitNanoseconds: Int64 = 2_000_000_000

    private struct Pause {
        var until: Int64
        var length: Int64
    }

    private let ageNanoseconds: Int64
    /// The oldest stands last.
    private var queue: [Candidate] = []
    private var active: Set<InodeID> = []
    private var pauses: [InodeID: Pause] = [:]

    init(ageMilliseconds: Int) {
        ageNanoseconds = Int64(ageMilliseconds) * 1_000_000
    }

    /// What to do now. `isPressed`: there is so much dirty data that age does not matter. `candidates` is
    /// asked when the known ones are used up; it names all owners with dirty data.
    mutating func next(now: Int64, isPressed: Bool, candidates: () -> [Candidate]) -> Action {
        if let owner = takeDue(now: now, isPressed: isPressed) { return .flush(owner) }
        queue = candidates().sorted { $0.oldestDirty > $1.oldestDirty }
        let dirty = Set(queue.map(\.owner))
        pauses = pauses.filter { dirty.contains($0.key) }
        let waiting = queue.filter { !active.contains($0.owner) }
        if let owner = takeDue(now: now, isPressed: isPressed) { return .flush(owner) }
        queue = []
        let instants = waiting.map { candidate in
            let due = isPressed ? now : candidate.oldestDirty + ageNanoseconds
            return max(due, pauses[candidate.owner]?.until ?? due)
        }
        return .wait(until: min(instants.min() ?? .max, now + lookInterval))
    }

    /// The flush of `owner` is over. `progressed`: something was stored, or nothing was left to store.
    mutating func finished(_ owner: InodeID, progressed: Bool, now: Int64) {
        active.remove(owner)
        if progressed {
            pauses[owner] = nil
        } else {
            let length = min(
                (pauses[owner]?.length).map { $0 * 2 } ?? Self.firstPauseNanoseconds,
                Self.pauseLimitNanoseconds)
            pauses[owner] = Pause(until: now + length, length: length)
        }
    }

    /// Writers do not announce their first dirty byte (that would cost a switch of threads for each small
    /// file); it is found by looking twice in the time that it may stay.
    private var lookInterval: Int64 { max(ageNanoseconds / 2, Self.shortestWaitNanoseconds) }

    private mutating func takeDue(now: Int64, isPressed: Bool) -> InodeID? {
        while let candidate = queue.popLast() {
            if active.contains(candidate.owner) { continue }
            if let pause = pauses[candidate.owner], pause.until > now { continue }
            guard isPressed || candidate.oldestDirty + ageNanoseconds <= now else {
                // All others are younger.
                queue = []
                return nil
            }
            active.insert(candidate.owner)
            return candidate.owner
        }
        return nil
    }
}
