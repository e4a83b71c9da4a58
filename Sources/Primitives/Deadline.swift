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

    public func advanced(byMilliseconds milliseconds: Int) -> Deadline {
        let (sum, overflow) = monotonicNanoseconds.addingReportingOverflow(
            Int64(clamping: milliseconds).multipliedReportingOverflow(by: 1_000_000).partialValue)
        return Deadline(monotonicNanoseconds: overflow ? .max : sum)
    }

    public var hasPassed: Bool { remainingMilliseconds <= 0 }

    /// Rounded up, so that a wait of this length does not end early; 0 once the instant has passed.
    public var remainingMilliseconds: Int {
        let left = monotonicNanoseconds - apusfs_monotonic_nanoseconds()
        return left <= 0 ? 0 : Int((left + 999_999) / 1_000_000)
    }

    public static func < (left: Deadline, right: Deadline) -> Bool {
        left.monotonicNanoseconds < right.monotonicNanoseconds
    }
}
