import KeyValue
import Primitives

/// Expiries of keys that were taken away here a moment ago, for those that are made again under the same
/// name: some editors save by renaming the old file away and writing a new one.
final class ExpiryTunnel: Sendable {
    private struct Passing {
        var key: Bytes
        /// Milliseconds since 1970.
        var expiry: Int64
        var until: Deadline
    }

    /// As long as the tunnel of NTFS, which exists for the same programs.
    static let milliseconds = 15_000
    private static let maximumKept = 256

    /// Rank: a leaf.
    private let passing = Locked<[Passing]>([])

    /// A key with this expiry (PEXPIRETIME; negative: none) is gone from its name.
    func enter(_ key: Bytes, expiry: Int64) {
        guard expiry >= 0 else { return }
        passing.withLock { passing in
            passing.removeAll { $0.key == key || $0.until.hasPassed }
            passing.append(
                Passing(key: key, expiry: expiry, until: .after(milliseconds: Self.milliseconds)))
            if passing.count > Self.maximumKept { passing.removeFirst() }
        }
    }

    /// The expiry for a key that is made, once.
    func leave(_ key: Bytes) -> Int64? {
        passing.withLock { passing in
            guard let index = passing.firstIndex(where: { $0.key == key }) else { return nil }
            let found = passing.remove(at: index)
            return found.until.hasPassed ? nil : found.expiry
        }
    }
}
