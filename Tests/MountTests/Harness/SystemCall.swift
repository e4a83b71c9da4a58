import CLinux
import Glibc
import Primitives

/// System calls as functions that throw what errno says. Nothing is retried and nothing is checked before the
/// kernel sees it: what these tests are about is its answer.
enum SystemCall {
    // MARK: Names

    static func mkdir(_ path: String, _ mode: mode_t = 0o755) throws(Errno) {
        try check(Glibc.mkdir(path, mode))
    }

    static func rmdir(_ path: String) throws(Errno) { try check(Glibc.rmdir(path)) }

    static func unlink(_ path: String) throws(Errno) { try check(Glibc.unlink(path)) }

    static func link(_ path: String, _ new: String) throws(Errno) {
        try check(Glibc.link(path, new))
    }

    static func symlink(_ target: String, _ path: String) throws(Errno) {
        try check(Glibc.symlink(target, path))
    }

    static func readlink(_ path: String) throws(Errno) -> String {
        var bytes = [CChar](repeating: 0, count: 8_192)
        let count = try checkCount(Glibc.readlink(path, &bytes, bytes.count))
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func mknod(_ path: String, _ mode: mode_t, device: dev_t = 0) throws(Errno) {
        try check(Glibc.mknod(path, mode, device))
    }

    static func mkfifo(_ path: String, _ mode: mode_t = 0o644) throws(Errno) {
        try check(Glibc.mkfifo(path, mode))
    }

    static func rename(_ from: String, _ to: String) throws(Errno) {
        try check(Glibc.rename(from, to))
    }

    /// renameat2(2) with flags of CLinux.
    static func rename(_ from: String, _ to: String, flags: UInt32) throws(Errno) {
        try checkError(apusfs_rename(from, to, flags))
    }

    // MARK: Attributes

    static func stat(_ path: String) throws(Errno) -> FileStatus {
        var information = FileStatus()
        try check(followingStatus(path, &information))
        return information
    }

    static func lstat(_ path: String) throws(Errno) -> FileStatus {
        var information = FileStatus()
        try check(linkStatus(path, &information))
        return information
    }

    static func exists(_ path: String) -> Bool {
        var information = FileStatus()
        return linkStatus(path, &information) == 0
    }

    static func statvfs(_ path: String) throws(Errno) -> VolumeStatus {
        var information = VolumeStatus()
        try check(volumeStatus(path, &information))
        return information
    }

    static func chmod(_ path: String, _ mode: mode_t) throws(Errno) {
        try check(Glibc.chmod(path, mode))
    }

    /// lchown(2); `nil` leaves the user or the group as it is.
    static func chown(_ path: String, user: uid_t? = nil, group: gid_t? = nil) throws(Errno) {
        try check(Glibc.lchown(path, user ?? .max, group ?? .max))
    }

    static func truncate(_ path: String, _ size: Int) throws(Errno) {
        try check(Glibc.truncate(path, size))
    }

    static func access(_ path: String, _ mode: Int32) throws(Errno) {
        try check(Glibc.access(path, mode))
    }

    /// utimensat(2) of the link itself; nanoseconds may be APUSFS_UTIME_NOW or APUSFS_UTIME_OMIT.
    static func setTimes(
        _ path: String, access: (seconds: Int64, nanoseconds: Int),
        modification: (seconds: Int64, nanoseconds: Int)
    ) throws(Errno) {
        try checkError(
            apusfs_set_times(
                path, access.seconds, access.nanoseconds, modification.seconds,
                modification.nanoseconds))
    }

    // MARK: Extended attributes

    static func setXattr(
        _ path: String, _ name: String, _ value: [UInt8], flags: Int32 = 0
    ) throws(Errno) {
        try checkError(apusfs_set_xattr(path, name, value, value.count, flags))
    }

    /// With room for `capacity` bytes; 0 asks for the size, which is answered as that many zeros.
    static func getXattr(
        _ path: String, _ name: String, capacity: Int = 70_000
    ) throws(Errno) -> [UInt8] {
        var value = [UInt8](repeating: 0, count: max(capacity, 1))
        let count = try checkResult(apusfs_get_xattr(path, name, &value, capacity))
        return capacity == 0 ? [UInt8](repeating: 0, count: count) : Array(value[..<count])
    }

    static func listXattrs(_ path: String) throws(Errno) -> [String] {
        var names = [CChar](repeating: 0, count: 70_000)
        let count = try checkResult(apusfs_list_xattrs(path, &names, names.count))
        return names[..<count].split(separator: 0)
            .map { String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }

    static func removeXattr(_ path: String, _ name: String) throws(Errno) {
        try checkError(apusfs_remove_xattr(path, name))
    }

    // MARK: Whole files

    /// Makes the file or empties it, and writes `bytes` into it.
    static func writeFile(
        _ path: String, _ bytes: [UInt8] = [], mode: mode_t = 0o644
    ) throws(Errno) {
        let file = try Descriptor(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
        try file.writeAll(bytes)
        try file.close()
    }

    static func writeFile(_ path: String, _ text: String) throws(Errno) {
        try writeFile(path, Array(text.utf8))
    }

    static func readFile(_ path: String) throws(Errno) -> [UInt8] {
        let file = try Descriptor(path, O_RDONLY)
        return try file.readToEnd()
    }

    // MARK: Answers

    static func check(_ result: Int32) throws(Errno) {
        if result != 0 { throw Errno(rawValue: errno) }
    }

    /// Of a call that returns a count, or -1 with errno.
    static func checkCount(_ result: Int) throws(Errno) -> Int {
        if result < 0 { throw Errno(rawValue: errno) }
        return result
    }

    /// Of a function of CLinux that returns an errno.
    static func checkError(_ result: Int32) throws(Errno) {
        if result != 0 { throw Errno(rawValue: result) }
    }

    /// Of a function of CLinux that returns a count or -errno.
    static func checkResult(_ result: Int) throws(Errno) -> Int {
        if result < 0 { throw Errno(rawValue: Int32(-result)) }
        return result
    }
}

typealias FileStatus = stat
typealias VolumeStatus = statvfs

// Inside of an enum with members of these names, the functions of C have no name.
private func followingStatus(_ path: String, _ status: inout FileStatus) -> Int32 {
    stat(path, &status)
}
private func linkStatus(_ path: String, _ status: inout FileStatus) -> Int32 {
    lstat(path, &status)
}
private func volumeStatus(_ path: String, _ status: inout VolumeStatus) -> Int32 {
    statvfs(path, &status)
}

extension FileStatus {
    /// Permission bits with setuid, setgid and sticky.
    var permissions: mode_t { st_mode & 0o7777 }
    var kind: mode_t { st_mode & S_IFMT }
    var accessTime: Instant { Instant(st_atim) }
    var modificationTime: Instant { Instant(st_mtim) }
    var changeTime: Instant { Instant(st_ctim) }
}

/// A time of an inode.
struct Instant: Equatable, Comparable {
    let seconds: Int
    let nanoseconds: Int

    init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    init(_ time: timespec) { self.init(seconds: time.tv_sec, nanoseconds: time.tv_nsec) }

    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(time)
    }

    static func < (left: Instant, right: Instant) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}
