import CLinux

/// An instant of the monotonic clock before which something must be over.
public struct Deadline: Hashable, Sendable, Comparable {
    /// Nanoseconds of CLOCK_MONOTONIC.
    public let monotonicNanoseconds: Int64

    public init(monotonicNanoseconds: Int64) { self.monotonicNanoseconds = monotonicNanoseconds }

    public static var now: Deadline {
        Deadline(monotonicNanoseconds: apusfs_monotonic_nanoseconds())
    }

    public static func after(milliseconds: Int) -> Deadline {
        now.advanced(byMilliseconds: milliseconds)
    }

    /// Never, when that is too far away to be counted.
    public func advanced(byMilliseconds milliseconds: Int) -> Deadline {
        let (distance, isTooFar) = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflows) = monotonicNanoseconds.addingReportingOverflow(distance)
        guard !isTooFar, !overflows else {
            return Deadline(monotonicNanoseconds: milliseconds < 0 ? .min : .max)
        }
        return Deadline(monotonicNanoseconds: sum)
    }

    public var hasPassed: Bool { remainingMilliseconds <= 0 }

    /// Rounded up, so that a wait of this length does not end early; 0 once the instant has passed.
    public var remainingMilliseconds: Int {
        let now = apusfs_monotonic_nanoseconds()
        guard monotonicNanoseconds > now else { return 0 }
        let left = monotonicNanoseconds - now
        return Int(left / 1_000_000 + (left.isMultiple(of: 1_000_000) ? 0 : 1))
    }

    public static func < (left: Deadline, right: Deadline) -> Bool {
        left.monotonicNanoseconds < right.monotonicNanoseconds
    }
}
