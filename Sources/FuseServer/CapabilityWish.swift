import CFuse

/// What libfuse 3.14 is told to negotiate, in its own words (FUSE_CAP_*). Named one by one: none of
/// libfuse's defaults is taken unseen (docs/FUSE.md).
struct CapabilityWish {
    let splice: Bool
    /// The advisory locks that the filesystem serves; the kernel keeps the others itself.
    let locks: LockKinds
    let accessLists: Bool
    /// The filesystem finds an inode by its number alone.
    let handles: Bool
    /// Others than the programs of this mount change files: when the kernel hears of another size, it drops
    /// the file's pages by itself, before a program can read up to it.
    let isShared: Bool

    /// The subset of `capable` that is wanted.
    func want(of capable: UInt32) -> UInt32 {
        var wanted = Self.always
        if splice {
            wanted |= FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE
        }
        if locks.contains(.posix) { wanted |= FUSE_CAP_POSIX_LOCKS }
        if locks.contains(.flock) { wanted |= FUSE_CAP_FLOCK_LOCKS }
        if accessLists { wanted |= FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK }
        if !isShared { wanted |= FUSE_CAP_EXPLICIT_INVAL_DATA }
        if handles { wanted |= FUSE_CAP_EXPORT_SUPPORT }
        return UInt32(bitPattern: wanted) & capable
    }

    private static let always =
        FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS
        | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS
        | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_IOCTL_DIR
}
