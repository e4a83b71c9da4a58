public import FileSystem
public import Primitives
import VolumeStore

// Operations that the volume leaves to the kernel's own way: answered so that the kernel does without.
extension VolumeFileSystem {
    /// posix_fallocate(3) writes zeros itself when it meets EOPNOTSUPP.
    public func fallocate(
        _ caller: Caller, inode: InodeID, handle: HandleID, mode: Int32, offset: FileOffset,
        length: UInt64
    ) throws(Errno) {
        throw .notSupported
    }

    /// With ENOSYS the kernel says that the whole file is data, which lseek(2) allows.
    public func lseek(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, whence: SeekWhence
    ) throws(Errno) -> FileOffset {
        throw .notImplemented
    }

    /// With ENOSYS the kernel reads and writes.
    public func copyFileRange(
        _ caller: Caller, from: FileRangeStart, to: FileRangeStart, length: UInt64
    ) throws(Errno) -> UInt64 {
        throw .notImplemented
    }
}
