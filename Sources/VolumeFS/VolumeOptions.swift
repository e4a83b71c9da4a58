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
    /// Memory for blocks.
    public var cacheBytes = 512 << 20
    /// What the whole process should take at most: blocks leave when it takes more. `nil`: whatever it
    /// needs (the store is in the same process, or other mounts are).
    public var memoryLimitBytes: Int?
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

    /// What the program and all that it remembers beside blocks take at most, while the cache is not cut to
    /// less than three quarters.
    public static let overheadBytes = 64 << 20

    public init() {}

    func cacheSettings(blockSize: BlockSize) -> CacheSettings {
        // The reserve counts as cache, unless the cache is so small that little else would be left.
        let reserve = CacheSettings.standardReserveBytes
        let capacity = max(cacheBytes - reserve, cacheBytes / 4 * 3)
        return CacheSettings(
            blockSize: blockSize,
            capacityBytes: capacity,
            leastCapacityBytes: memoryLimitBytes == nil ? nil : capacity / 4 * 3,
            reserveBytes: reserve,
            dirtyLimitBytes: dirtyLimitBytes ?? cacheBytes / 2,
            dirtyAgeMilliseconds: flushIntervalMilliseconds)
    }
}
