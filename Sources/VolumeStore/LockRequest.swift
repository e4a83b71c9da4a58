import FileSystem
import Primitives

/// What a decision does with the table that it was given.
enum LockDecision: Equatable {
    case keep
    /// The change is not wanted.
    case refuse(Errno)
    /// The change is wanted, and yet it fails.
    case keepAndRefuse(Errno)

    var refusal: Errno? {
        switch self {
        case .keep: nil
        case .refuse(let errno), .keepAndRefuse(let errno): errno
        }
    }
}

/// One request for a lock, decided as often as the table turns out to be another one.
struct LockRequest {
    let lock: LockTable.Held
    let waits: Bool
    private(set) var isTaken = false
    /// Once it had to be put in line.
    private(set) var ticket: UInt64?

    init(lock: LockTable.Held, waits: Bool) {
        self.lock = lock
        self.waits = waits
    }

    mutating func decide(_ table: inout LockTable, newTicket: () -> UInt64) -> LockDecision {
        isTaken = false
        let isWholeFile = lock.owner.family == .wholeFile
        // flock(2): a conversion gives up what is held first, also when it then fails or waits.
        if isWholeFile { table.remove(lock.owner, lock.range) }
        if table.holder(against: lock) == nil {
            guard table.held.count + table.waiting.count < LockTable.maximumEntries else {
                return .refuse(.noLocks)
            }
            isTaken = true
            table.take(lock)
            return .keep
        }
        guard waits else { return isWholeFile ? .keepAndRefuse(.tryAgain) : .refuse(.tryAgain) }
        guard table.held.count + table.waiting.count < LockTable.maximumEntries else {
            return .refuse(.noLocks)
        }
        let number = ticket ?? newTicket()
        ticket = number
        table.waiting.append(.init(lock: lock, ticket: number))
        return .keep
    }
}
