import CLinux
import Glibc
import Primitives

/// An open file, closed at the latest with the object. No child process inherits it.
final class Descriptor {
    private(set) var raw: Int32

    init(_ path: String, _ flags: Int32, _ mode: mode_t = 0o644) throws(Errno) {
        raw = open(path, flags | O_CLOEXEC, mode)
        guard raw >= 0 else { throw Errno(rawValue: errno) }
    }

    /// Takes a descriptor over.
    init(owning raw: Int32) { self.raw = raw }

    /// What the kernel knows of it, in /proc (proc(5)).
    var procPath: String { "/proc/self/fd/\(raw)" }

    deinit { if raw >= 0 { Glibc.close(raw) } }

    /// close(2), with its error.
    func close() throws(Errno) {
        let closing = raw
        raw = -1
        try SystemCall.check(Glibc.close(closing))
    }

    /// One write(2).
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>) throws(Errno) -> Int {
        let bytes = Array(bytes)
        return try SystemCall.checkCount(Glibc.write(raw, bytes, bytes.count))
    }

    func writeAll(_ bytes: [UInt8]) throws(Errno) {
        var done = 0
        while done < bytes.count { done += try write(bytes[done...]) }
    }

    /// One read(2).
    func read(_ count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try SystemCall.checkCount(Glibc.read(raw, &bytes, count))
        return Array(bytes[..<got])
    }

    func readToEnd() throws(Errno) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let some = try read(1 << 20)
            if some.isEmpty { return all }
            all += some
        }
    }

    /// One pwrite(2).
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, at offset: Int) throws(Errno) -> Int {
        let bytes = Array(bytes)
        return try SystemCall.checkCount(pwrite(raw, bytes, bytes.count, offset))
    }

    /// One pread(2).
    func read(_ count: Int, at offset: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try SystemCall.checkCount(pread(raw, &bytes, count, offset))
        return Array(bytes[..<got])
    }

    @discardableResult
    func seek(_ offset: Int, _ whence: Int32 = SEEK_SET) throws(Errno) -> Int {
        try SystemCall.checkCount(lseek(raw, offset, whence))
    }

    func truncate(_ size: Int) throws(Errno) { try SystemCall.check(ftruncate(raw, size)) }

    func sync() throws(Errno) { try SystemCall.check(fsync(raw)) }

    func status() throws(Errno) -> FileStatus {
        var information = FileStatus()
        try SystemCall.check(fstat(raw, &information))
        return information
    }

    func chmod(_ mode: mode_t) throws(Errno) { try SystemCall.check(fchmod(raw, mode)) }

    /// fallocate(2).
    func allocate(_ mode: AllocationMode, at offset: Int, count: Int) throws(Errno) {
        try SystemCall.checkError(
            apusfs_fallocate(raw, mode.rawValue, Int64(offset), Int64(count)))
    }

    /// One copy_file_range(2) from another file into this one.
    func copy(
        from source: Descriptor, at offset: Int, to target: Int, count: Int
    ) throws(Errno) -> Int {
        try SystemCall.checkResult(
            apusfs_copy_file_range(source.raw, Int64(offset), raw, Int64(target), count))
    }

    /// SEEK_DATA of lseek(2).
    func seekData(_ offset: Int) throws(Errno) -> Int {
        try SystemCall.checkResult(Int(apusfs_seek_data(raw, Int64(offset))))
    }

    /// SEEK_HOLE of lseek(2).
    func seekHole(_ offset: Int) throws(Errno) -> Int {
        try SystemCall.checkResult(Int(apusfs_seek_hole(raw, Int64(offset))))
    }
}

/// The mode of fallocate(2).
struct AllocationMode: OptionSet {
    let rawValue: Int32

    static let keepSize = AllocationMode(rawValue: Int32(APUSFS_FALLOC_KEEP_SIZE))
    static let punchHole = AllocationMode(rawValue: Int32(APUSFS_FALLOC_PUNCH_HOLE))
    static let zeroRange = AllocationMode(rawValue: Int32(APUSFS_FALLOC_ZERO_RANGE))
}
