import KeyValue
import Primitives

/// What keys were that were taken away here a moment ago, for those that are made again under the same
/// name: some editors save by renaming the old file away and writing a new one.
final class KeyTunnel: Sendable {
    private struct Passing {
        var key: Bytes
        /// Milliseconds since 1970; negative: none.
        var expiry: Int64
        /// Whether it was a string.
        var isString: Bool
        var until: Deadline
    }

    /// As long as the tunnel of NTFS, which exists for the same programs.
    static let milliseconds = 15_000
    private static let maximumKept = 256

    /// Rank: a leaf.
    private let passing = Locked<[Passing]>([])

    /// A key with this expiry (PEXPIRETIME) is gone from its name. A string without a dot would be made as
    /// one in any case.
    func enter(_ key: Bytes, expiry: Int64, isString: Bool) {
        let isString = isString && key.contains(UInt8(ascii: "."))
        guard expiry >= 0 || isString else { return }
        passing.withLock { passing in
            passing.removeAll { $0.key == key || $0.until.hasPassed }
            passing.append(
                Passing(
                    key: key, expiry: expiry, isString: isString,
                    until: .after(milliseconds: Self.milliseconds)))
            if passing.count > Self.maximumKept { passing.removeFirst() }
        }
    }

    /// Whether a string of this name was taken away.
    func holdsString(_ key: Bytes) -> Bool {
        passing.withLock { passing in
            passing.contains { $0.key == key && $0.isString && !$0.until.hasPassed }
        }
    }

    /// The expiry for a key that is made, once.
    func leave(_ key: Bytes) -> Int64? {
        passing.withLock { passing in
            guard let index = passing.firstIndex(where: { $0.key == key }) else { return nil }
            let found = passing.remove(at: index)
            return found.until.hasPassed || found.expiry < 0 ? nil : found.expiry
        }
    }
}
