import CLinux

/// An instant in nanoseconds since 1970-01-01 00:00 UTC; negative before that.
///
/// The range is that of a signed 64-bit number: years 1678 to 2262.
public struct Timestamp: Hashable, Sendable, Comparable {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Clamps to the range that can be stored, as utimensat(2) lets a filesystem do.
    public init(seconds: Int64, nanoseconds: Int64) {
        // Both parts with one sign, so that no sum that fits overflows on the way.
        let borrows = seconds < 0 && nanoseconds > 0
        let (product, overflow) = (borrows ? seconds + 1 : seconds).multipliedReportingOverflow(
            by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(
            borrows ? nanoseconds - 1_000_000_000 : nanoseconds)
        if overflow || carry {
            self.nanoseconds = seconds < 0 ? .min : .max
        } else {
            self.nanoseconds = sum
        }
    }

    /// The clock of this host (CLOCK_REALTIME).
    public static var now: Timestamp {
        Timestamp(nanoseconds: apusfs_realtime_nanoseconds())
    }

    /// Whole seconds, rounded toward the past, as `timespec.tv_sec`.
    public var seconds: Int64 {
        let quotient = nanoseconds / 1_000_000_000
        return nanoseconds % 1_000_000_000 < 0 ? quotient - 1 : quotient
    }

    /// 0 to 999,999,999, as `timespec.tv_nsec`.
    public var subsecondNanoseconds: Int64 {
        let rest = nanoseconds % 1_000_000_000
        return rest < 0 ? rest + 1_000_000_000 : rest
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
