import CLinux
import Glibc
import Primitives

/// The directory on which a volume is to appear, and what can be wrong with it.
enum MountPoint {
    /// The path as the kernel shows it, found without touching what is mounted there: a mount whose
    /// process has died or hangs answers nothing.
    static func canonical(_ path: String) throws(CommandFailure) -> String {
        var text = Directories.absolute(path)
        while text.count > 1, text.hasSuffix("/") { text.removeLast() }
        if try MountTable.entry(at: text) != nil { return text }
        if let resolved = Directories.resolve(text) { return resolved }
        let failure = errno
        // The last part may be dead; those above it are not ours to judge.
        guard let slash = text.lastIndex(of: "/"), failure == ENOTCONN || failure == EACCES,
            let parent = Directories.resolve(
                slash == text.startIndex ? "/" : String(text[..<slash]))
        else {
            throw failure == ENOENT
                ? CommandFailure("mount point \(path) does not exist (mkdir -p makes it)")
                : CommandFailure("mount point \(path)", "not usable", errno: failure)
        }
        return (parent == "/" ? "" : parent) + text[slash...]
    }

    /// Makes sure that a volume can be mounted at `path` and returns its canonical form. What a dead
    /// process left mounted there is unmounted first; `recovered` is told.
    static func prepare(
        _ path: String, mayBeFilled: Bool, recovered: (String) -> Void
    ) throws(CommandFailure) -> String {
        let path = try canonical(path)
        let entry = try MountTable.entry(at: path)
        var information = stat()
        var state = stat(path, &information) == 0 ? 0 : errno
        if state == 0, entry?.isOurs == true { state = askDaemon(at: path) }
        guard state == 0 else {
            guard state == ENOTCONN else {
                throw CommandFailure(path, "cannot be mounted on", errno: state)
            }
            try Unmounting.detach(path)
            recovered("\(path): unmounted what a process that has died had left there")
            return try prepare(path, mayBeFilled: mayBeFilled, recovered: recovered)
        }
        if let entry, entry.isOurs {
            throw CommandFailure(
                "\(path): \(entry.source) is already mounted there; unmount it with: "
                    + "apusfs umount \(path)")
        }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure("\(path): not a directory")
        }
        let names = try Directories.list(path)
        guard mayBeFilled || names.isEmpty else {
            throw CommandFailure(
                "\(path): not empty; mount on an empty directory, or hide what it holds with "
                    + "--nonempty")
        }
        guard access(path, W_OK) == 0 else {
            throw CommandFailure(
                "\(path): you may not write to it, so you may not mount on it (fusermount3)")
        }
        return path
    }

    /// 0 when the process behind the mount answers, otherwise errno. The kernel answers stat(2) by itself
    /// while it believes what it was told of the root, also when nobody is left to ask; statfs(2) never.
    private static func askDaemon(at path: String) -> Int32 {
        var information = statvfs()
        return statvfs(path, &information) == 0 ? 0 : errno
    }

    /// Makes sure that this process can use FUSE at all.
    static func requireFUSE(allowOther: Bool) throws(CommandFailure) {
        let device = "/dev/fuse"
        guard access(device, F_OK) == 0 else {
            throw CommandFailure(
                "\(device) does not exist: load the module (modprobe fuse), or start the container "
                    + "with --device /dev/fuse --cap-add SYS_ADMIN")
        }
        // fusermount3 opens the device with the rights of its caller, too.
        guard access(device, R_OK | W_OK) == 0 else {
            throw CommandFailure(
                "\(device): \(Errno(rawValue: errno)): this user, or this container, may not use "
                    + "FUSE (chmod 666 \(device), or --device \(device) --cap-add SYS_ADMIN)")
        }
        guard geteuid() != 0 else { return }
        guard ChildProcess.find("fusermount3") != nil else {
            throw CommandFailure(
                "fusermount3 is not installed, and only root can mount without it; "
                    + "run: apt-get install fuse3")
        }
        if allowOther, !permitsAllowOther(configuration: "/etc/fuse.conf") {
            throw CommandFailure(
                "allow-other is for root only, unless /etc/fuse.conf has a line 'user_allow_other'")
        }
    }

    static func permitsAllowOther(configuration path: String) -> Bool {
        guard let bytes = Directories.contents(of: path, limit: 65_536) else { return false }
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).contains {
            $0.filter { !$0.isWhitespace } == "user_allow_other"
        }
    }
}

/// Takes mounts away.
enum Unmounting {
    struct Flags: OptionSet, Sendable {
        let rawValue: Int32
        static let force = Flags(rawValue: Int32(APUSFS_MNT_FORCE))
        static let lazy = Flags(rawValue: Int32(APUSFS_MNT_DETACH))
    }

    /// Removes the mount from the tree at once, even if it is in use or its process is dead.
    static func detach(_ path: String) throws(CommandFailure) {
        try unmount(path, [.lazy])
    }

    /// umount2(2), or fusermount3 for those who may not call it.
    static func unmount(_ path: String, _ flags: Flags) throws(CommandFailure) {
        let result = apusfs_umount(path, flags.rawValue)
        switch result {
        case 0: return
        case EBUSY:
            throw CommandFailure(
                "\(path): in use ('fuser -vm \(path)' shows by whom); unmount it as soon as nobody "
                    + "uses it any more with: apusfs umount --lazy \(path)")
        case EPERM: try unmountAsUser(path, flags)
        default: throw CommandFailure(path, "cannot be unmounted", errno: result)
        }
    }

    private static func unmountAsUser(_ path: String, _ flags: Flags) throws(CommandFailure) {
        guard let program = ChildProcess.find("fusermount3") else {
            throw CommandFailure("\(path): fusermount3 is not installed; run umount as root")
        }
        let arguments = ["fusermount3", "-u"] + (flags.isEmpty ? [] : ["-z"]) + ["--", path]
        let result: (status: EndStatus, output: String)
        do throws(Errno) {
            result = try ChildProcess.run(program, arguments: arguments)
        } catch {
            throw CommandFailure(program, "cannot be started", errno: error.rawValue)
        }
        guard result.status != .exited(0) else { return }
        let reason = result.output.split(whereSeparator: \.isNewline).joined(separator: "; ")
        throw CommandFailure(reason.isEmpty ? "\(path): fusermount3: \(result.status)" : reason)
    }
}
