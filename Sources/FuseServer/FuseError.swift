public import Primitives

/// Why a mount could not be made or served: one line that says what is wrong and how to mend it.
public enum FuseError: Error, Equatable, CustomStringConvertible {
    case noDevice
    case deviceDenied
    case mountPointMissing(path: String)
    case mountPointNotDirectory(path: String)
    case mountPointInaccessible(path: String, Errno)
    case staleMount(path: String)
    case notPermitted(path: String)
    /// `reason` is what libfuse said last.
    case mountFailed(path: String, reason: String)
    case optionsRejected(reason: String)
    case negotiationFailed
    /// FUSE over io_uring was asked for and cannot be had.
    case noRings(reason: String)
    case loopFailed(Errno)
    /// A call out of order: mount once, then serve once.
    case outOfOrder(String)

    public var description: String {
        switch self {
        case .noDevice:
            "/dev/fuse is missing: run `modprobe fuse`, or give the container the device "
                + "(--device /dev/fuse)"
        case .deviceDenied:
            "/dev/fuse may not be opened: run as root, or give the user read and write access to it"
        case .mountPointMissing(let path):
            "mount point \(path) does not exist: make it with `mkdir -p \(path)`"
        case .mountPointNotDirectory(let path):
            "mount point \(path) is not a directory"
        case .mountPointInaccessible(let path, let errno):
            "mount point \(path) cannot be used: \(errno)"
        case .staleMount(let path):
            "mount point \(path) belongs to a mount whose daemon is gone: run `umount -l \(path)` "
                + "and mount again"
        case .notPermitted(let path):
            "mounting on \(path) is not permitted: run as root (in a container with CAP_SYS_ADMIN), "
                + "or install fusermount3 (package fuse3)"
        case .mountFailed(let path, let reason):
            "mounting on \(path) failed: \(reason)"
        case .optionsRejected(let reason):
            "libfuse rejects the mount options: \(reason)"
        case .negotiationFailed:
            "the kernel and libfuse do not agree on a protocol"
        case .noRings(let reason): "no FUSE over io_uring: \(reason), or use --transport device"
        case .loopFailed(let errno):
            "reading requests from the kernel failed: \(errno)"
        case .outOfOrder(let call):
            "\(call) was called out of order"
        }
    }
}
