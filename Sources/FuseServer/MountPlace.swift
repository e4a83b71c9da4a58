import CLinux
import Glibc
import Logging
import Primitives

/// Where a filesystem is mounted, and everything that is done to the mount from outside the session. Each
/// call makes sure that the mount at the path is still ours: nothing else is ever unmounted.
struct MountPlace: Sendable {
    /// Absolute, without symbolic links.
    let path: String
    let device: MountTable.Device

    enum UnmountResult: Equatable {
        /// Nothing of ours is mounted any more.
        case gone
        /// Programs use it, or unmounting is not permitted.
        case busy
    }

    /// Says what is wrong with a mount point before anything is tried.
    static func check(_ path: String) throws(FuseError) {
        var attributes = stat()
        guard stat(path, &attributes) == 0 else {
            switch errno {
            case ENOENT: throw .mountPointMissing(path: path)
            case ENOTCONN, ECONNABORTED: throw .staleMount(path: path)
            case let code: throw .mountPointInaccessible(path: path, Errno(rawValue: code))
            }
        }
        guard attributes.st_mode & S_IFMT == S_IFDIR else {
            throw .mountPointNotDirectory(path: path)
        }
        try checkDevice()
        if geteuid() != 0, Fusermount.path == nil { throw .notPermitted(path: path) }
    }

    private static func checkDevice() throws(FuseError) {
        if access("/dev/fuse", F_OK) != 0 { throw .noDevice }
        // fusermount3 opens the device for others than root.
        if geteuid() == 0, access("/dev/fuse", R_OK | W_OK) != 0 { throw .deviceDenied }
    }

    /// The path without symbolic links, to be found in the mount table. Asked before mounting: the mount
    /// does not answer yet when it appears.
    static func resolve(_ path: String) throws(FuseError) -> String {
        // SAFETY: realpath(3) allocates its answer when given no buffer.
        guard let resolved = realpath(path, nil) else {
            throw .mountPointInaccessible(path: path, Errno(rawValue: errno))
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// `path` as `resolve` answered it; `nil` when nothing is mounted there.
    init?(mountedAt path: String) {
        guard let device = MountTable.current().device(at: path) else { return nil }
        self.path = path
        self.device = device
    }

    private var isMounted: Bool { MountTable.current().device(at: path) == device }

    /// As umount(8): only when nobody uses it. Everything that the kernel caches is written first.
    func unmount() -> UnmountResult {
        guard isMounted else { return .gone }
        guard geteuid() == 0 else {
            return Fusermount.run(["-u", "-q", "--", path]) ? .gone : .busy
        }
        // EINVAL: somebody else unmounted it just now.
        let result = apusfs_umount(path, 0)
        return result == 0 || result == EINVAL ? .gone : .busy
    }

    /// Writes what the kernel caches of mappings (syncfs(2)).
    func writeBack(logger: Logger) {
        guard isMounted else { return }
        let result = apusfs_sync_filesystem(path)
        if result != 0 { logger.warning("syncfs of \(path): \(Errno(rawValue: result))") }
    }

    /// Takes the mount away from programs that use it: their requests fail from now on.
    func detach(logger: Logger) {
        guard isMounted else { return }
        guard geteuid() == 0 else {
            if !Fusermount.run(["-u", "-q", "-z", "--", path]) {
                logger.warning("fusermount3 could not unmount \(path)")
            }
            abortConnection()
            return
        }
        let result = apusfs_umount(path, Int32(APUSFS_MNT_FORCE | APUSFS_MNT_DETACH))
        if result != 0 { logger.warning("unmounting \(path): \(Errno(rawValue: result))") }
    }

    /// Starts a process that aborts the connection when the calling thread dies. The kernel does that when the
    /// daemon's last thread has ended, and a thread that waits in a notification for a page that a request
    /// of a program holds never does: the request would wait for ever for the daemon that is dead.
    func startGuard(logger: Logger) -> Int32? {
        let process = apusfs_start_guard(path, device.minor)
        if process > 0 { return process }
        logger.warning("no process guards \(path): \(Errno(rawValue: -process))")
        return nil
    }

    /// The control filesystem of FUSE, when it is mounted, lets the owner abort a connection.
    private func abortConnection() {
        _ = SystemFile.write("1", to: "/sys/fs/fuse/connections/\(device.minor)/abort")
    }

    /// The kernel's readahead window of the mount. The default of 128 KiB cannot be raised by INIT.
    func setReadAhead(bytes: Int, logger: Logger) {
        guard bytes > 0 else { return }
        let file = "/sys/class/bdi/\(device.major):\(device.minor)/read_ahead_kb"
        if !SystemFile.write(String(bytes / 1_024), to: file) {
            logger.debug("readahead stays as it is: \(file) cannot be written")
        }
    }
}
