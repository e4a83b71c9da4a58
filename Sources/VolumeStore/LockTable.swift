import FileSystem
import Primitives

/// Who holds or wants a lock, among all mounts of a volume.
struct LockOwner: Hashable {
    var session: SessionID
    var family: LockFamily
    /// As the kernel of the session's mount counts.
    var number: UInt64
}

/// The advisory locks of one inode, and who waits for one, in order of arrival.
///
/// A value: it decides, and `VolumeStore+Locks` carries the decision to the store, where the whole table
/// is changed by compare-and-set. docs/FORMAT.md, "Locks".
struct LockTable: Equatable {
    struct Held: Hashable {
        var owner: LockOwner
        var mode: LockMode
        var range: ClosedRange<UInt64>
        var processID: Int32
    }

    struct Waiting: Hashable {
        var lock: Held
        /// Unique in its session.
        var ticket: UInt64
    }

    /// Of one inode, held and waiting: bounds the stored value to some 160 KiB.
    static let maximumEntries = 4_096

    var held: [Held] = []
    var waiting: [Waiting] = []

    var isEmpty: Bool { held.isEmpty && waiting.isEmpty }

    func concerns(_ session: SessionID) -> Bool {
        held.contains { $0.owner.session == session }
            || waiting.contains { $0.lock.owner.session == session }
    }

    /// The first lock that is in the way of `wanted`.
    func holder(against wanted: Held) -> Held? { held.first { $0.excludes(wanted) } }

    /// Whoever is in the way of `wanted`.
    func blockers(of wanted: Held) -> Set<LockOwner> {
        Set(held.filter { $0.excludes(wanted) }.map(\.owner))
    }

    /// Takes a lock that nothing is in the way of: it replaces what its owner holds in that range, and
    /// grows together with what the owner holds beside it in the same mode (fcntl(2)).
    mutating func take(_ lock: Held) {
        remove(lock.owner, lock.range)
        var merged = lock
        held.removeAll { other in
            guard other.owner == lock.owner, other.mode == lock.mode,
                other.range.touches(merged.range)
            else { return false }
            merged.range =
                min(
                    other.range.lowerBound, merged.range.lowerBound)...max(
                    other.range.upperBound, merged.range.upperBound)
            return true
        }
        held.append(merged)
    }

    /// Gives up what `owner` holds in `range`; what it holds around that stays.
    mutating func remove(_ owner: LockOwner, _ range: ClosedRange<UInt64>) {
        guard held.contains(where: { $0.owner == owner && $0.range.overlaps(range) }) else {
            return
        }
        var rest: [Held] = []
        rest.reserveCapacity(held.count + 1)
        for lock in held {
            guard lock.owner == owner, lock.range.overlaps(range) else {
                rest.append(lock)
                continue
            }
            if lock.range.lowerBound < range.lowerBound {
                var left = lock
                left.range = lock.range.lowerBound...range.lowerBound - 1
                rest.append(left)
            }
            if lock.range.upperBound > range.upperBound {
                var right = lock
                right.range = range.upperBound + 1...lock.range.upperBound
                rest.append(right)
            }
        }
        held = rest
    }

    /// Gives up everything that a session holds and waits for.
    mutating func remove(_ session: SessionID) {
        held.removeAll { $0.owner.session == session }
        waiting.removeAll { $0.lock.owner.session == session }
    }

    /// False when it does not wait (any more).
    mutating func cancel(_ session: SessionID, _ ticket: UInt64) -> Bool {
        let before = waiting.count
        waiting.removeAll { $0.ticket == ticket && $0.lock.owner.session == session }
        return waiting.count < before
    }

    /// Gives locks to those who wait and whom nothing is in the way of any more, in order of arrival.
    mutating func grant() -> [Waiting] {
        guard !waiting.isEmpty else { return [] }
        var granted: [Waiting] = []
        var rest: [Waiting] = []
        for request in waiting {
            if holder(against: request.lock) == nil {
                take(request.lock)
                granted.append(request)
            } else {
                rest.append(request)
            }
        }
        if !granted.isEmpty { waiting = rest }
        return granted
    }

    /// The locks of a session, which is what `grant()` elsewhere has made of them, to be noted here.
    mutating func noteGrant(_ session: SessionID, _ ticket: UInt64) -> Bool {
        guard
            let index = waiting.firstIndex(where: {
                $0.ticket == ticket && $0.lock.owner.session == session
            })
        else { return false }
        take(waiting.remove(at: index).lock)
        return true
    }
}

extension LockTable.Held {
    /// Whether the two cannot be held at once.
    func excludes(_ other: Self) -> Bool {
        owner != other.owner && owner.family == other.owner.family
            && (mode == .exclusive || other.mode == .exclusive) && range.overlaps(other.range)
    }
}

extension ClosedRange<UInt64> {
    /// They overlap, or nothing lies between them.
    fileprivate func touches(_ other: Self) -> Bool {
        let (left, right) = lowerBound <= other.lowerBound ? (self, other) : (other, self)
        return right.lowerBound <= left.upperBound || right.lowerBound - left.upperBound == 1
    }
}
