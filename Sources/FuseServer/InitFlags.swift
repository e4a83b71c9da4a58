/// The flags of the kernel's INIT exchange (linux/fuse.h, FUSE_INIT): the low 32 bits travel in `flags`,
/// the high ones in `flags2`. docs/FUSE.md says of each what was decided and why.
public struct InitFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(bit: UInt64) { rawValue = 1 << bit }

    init(flags: UInt32, flags2: UInt32) { rawValue = UInt64(flags) | UInt64(flags2) << 32 }

    /// The word `flags` of the exchange.
    var low: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
    /// The word `flags2`, which counts only beside `extended`.
    var high: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }

    public static let asyncRead = InitFlags(bit: 0)
    public static let posixLocks = InitFlags(bit: 1)
    public static let fileOps = InitFlags(bit: 2)
    public static let atomicTruncate = InitFlags(bit: 3)
    public static let exportSupport = InitFlags(bit: 4)
    public static let bigWrites = InitFlags(bit: 5)
    public static let dontMask = InitFlags(bit: 6)
    public static let spliceWrite = InitFlags(bit: 7)
    public static let spliceMove = InitFlags(bit: 8)
    public static let spliceRead = InitFlags(bit: 9)
    public static let flockLocks = InitFlags(bit: 10)
    public static let ioctlOnDirectories = InitFlags(bit: 11)
    public static let autoInvalidateData = InitFlags(bit: 12)
    public static let readdirPlus = InitFlags(bit: 13)
    public static let readdirPlusAuto = InitFlags(bit: 14)
    public static let asyncDirectIO = InitFlags(bit: 15)
    public static let writebackCache = InitFlags(bit: 16)
    public static let noOpenSupport = InitFlags(bit: 17)
    public static let parallelDirectoryOperations = InitFlags(bit: 18)
    public static let handleKillPrivileges = InitFlags(bit: 19)
    public static let posixACL = InitFlags(bit: 20)
    public static let abortError = InitFlags(bit: 21)
    public static let maxPages = InitFlags(bit: 22)
    public static let cacheSymlinks = InitFlags(bit: 23)
    public static let noOpendirSupport = InitFlags(bit: 24)
    public static let explicitInvalidateData = InitFlags(bit: 25)
    public static let mapAlignment = InitFlags(bit: 26)
    public static let submounts = InitFlags(bit: 27)
    public static let handleKillPrivileges2 = InitFlags(bit: 28)
    public static let setxattrExtended = InitFlags(bit: 29)
    public static let extended = InitFlags(bit: 30)
    public static let securityContext = InitFlags(bit: 32)
    public static let inodeDAX = InitFlags(bit: 33)
    public static let createSupplementaryGroup = InitFlags(bit: 34)
    public static let expireOnly = InitFlags(bit: 35)
    public static let directIOAllowsMapping = InitFlags(bit: 36)
    public static let passthrough = InitFlags(bit: 37)
    public static let noExportSupport = InitFlags(bit: 38)
    public static let resend = InitFlags(bit: 39)
    public static let allowIDMap = InitFlags(bit: 40)
    public static let overIOUring = InitFlags(bit: 41)
    public static let requestTimeout = InitFlags(bit: 42)

    /// Names in the order of the bits; a bit without a name shows as `bit<n>`.
    public var names: [String] {
        (0..<64).filter { rawValue >> UInt64($0) & 1 == 1 }.map { Self.bitNames[$0] ?? "bit\($0)" }
    }

    private static let bitNames: [Int: String] = [
        0: "async-read", 1: "posix-locks", 2: "file-ops", 3: "atomic-o-trunc", 4: "export-support",
        5: "big-writes", 6: "dont-mask", 7: "splice-write", 8: "splice-move", 9: "splice-read",
        10: "flock-locks", 11: "ioctl-dir", 12: "auto-inval-data", 13: "readdirplus",
        14: "readdirplus-auto", 15: "async-dio", 16: "writeback-cache", 17: "no-open-support",
        18: "parallel-dirops", 19: "handle-killpriv", 20: "posix-acl", 21: "abort-error",
        22: "max-pages", 23: "cache-symlinks", 24: "no-opendir-support", 25: "explicit-inval-data",
        26: "map-alignment", 27: "submounts", 28: "handle-killpriv-v2", 29: "setxattr-ext",
        30: "init-ext", 32: "security-ctx", 33: "inode-dax", 34: "create-supp-group",
        35: "expire-only", 36: "direct-io-allow-mmap", 37: "passthrough", 38: "no-export-support",
        39: "resend", 40: "allow-idmap", 41: "over-io-uring", 42: "request-timeout",
    ]
}
