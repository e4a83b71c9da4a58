import FileSystem
import Primitives

/// Numbers for inodes and data ids, taken from the volume in ranges so that a create needs no round trip
/// of its own.
final class IdentifierSupply: Sendable {
    /// How many numbers one trip takes. A mount that ends wastes those that are left, of 2^53.
    static let rangeLength: UInt64 = 1_024

    private let left = Locked<Range<UInt64>>(0..<0)
    private let greatest = Locked<UInt64>(0)

    /// The greatest number that was ever taken here.
    var greatestTaken: UInt64 { greatest.withLock { $0 } }

    /// `upTo` is the counter after it was raised by `rangeLength`. `false` when that is less than it can be:
    /// the first range begins behind the root.
    func refill(upTo sum: Int64) -> Bool {
        let lowest = Int64(InodeID.root.rawValue + Self.rangeLength)
        guard sum >= lowest else { return false }
        let end = UInt64(sum) + 1
        greatest.withLock { $0 = max($0, UInt64(sum)) }
        left.withLock { left in
            // Of two threads that refilled at once, the range of one is lost.
            left = end - Self.rangeLength..<end
        }
        return true
    }

    /// The next number; `nil` when a range has to be taken first.
    func next() -> UInt64? {
        left.withLock { left in
            guard let first = left.first else { return nil }
            left = first + 1..<left.upperBound
            return first
        }
    }

    /// Forgets the range: the store holds one of its numbers already (it went back in time).
    func discard() { left.withLock { $0 = 0..<0 } }
}
