import Cache
import Primitives

/// When the access time of a file follows its being read.
public enum AccessTimes: String, Sendable, CaseIterable {
    /// Never.
    case noatime
    /// When it is not later than the last change, or a day old (mount(8)).
    case relatime
    /// Always.
    case strictatime
}

/// How a volume is mounted.
public struct VolumeOptions: Sendable {
    /// Memory for blocks and for what is known of inodes and names.
    public var cacheBytes = 512 << 20
    /// `nil`: half of the cache.
    public var dirtyLimitBytes: Int?
    /// Dirty data is stored after this time at the latest.
    public var flushIntervalMilliseconds = 5_000
    /// How long the kernel may believe attributes and names; `nil`: for long as long as changes of other
    /// mounts are heard. While they are not, it is not at all.
    public var attributeTimeoutSeconds: Double?
    public var entryTimeoutSeconds: Double?
    public var accessTimes = AccessTimes.relatime
    public var isReadOnly = false
    /// A power of two.
    public var stripeCount = 1_024
    /// How many inodes that are neither open nor dirty are remembered.
    public var inodeStateLimit = 32_768
    /// How many names are remembered.
    public var entryLimit = 65_536

    /// About what inode states, names and beliefs take when they are at their limits.
    static let tableBytes = 16 << 20

    public init() {}

    func cacheSettings(blockSize: BlockSize) -> CacheSettings {
        // The reserve and the tables count as cache, unless the cache is so small that little else would
        // be left.
        let reserve = CacheSettings.standardReserveBytes
        return CacheSettings(
            blockSize: blockSize,
            capacityBytes: max(cacheBytes - reserve - Self.tableBytes, cacheBytes / 4 * 3),
            reserveBytes: reserve,
            dirtyLimitBytes: dirtyLimitBytes ?? cacheBytes / 2,
            dirtyAgeMilliseconds: flushIntervalMilliseconds)
    }
}
