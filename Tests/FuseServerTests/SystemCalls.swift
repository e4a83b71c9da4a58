import Foundation
import Primitives

// System calls as functions that throw `Errno`, for tests on a mount. Those that Swift's Glibc module hides
// (it is built without _GNU_SOURCE) are declared here by their symbols.

@_silgen_name("renameat2")
private func libcRenameat2(
    _: Int32, _: UnsafePointer<CChar>, _: Int32, _: UnsafePointer<CChar>, _: UInt32
) -> Int32
@_silgen_name("fallocate")
private func libcFallocate(_: Int32, _: Int32, _: Int, _: Int) -> Int32
@_silgen_name("copy_file_range")
private func libcCopyFileRange(
    _: Int32, _: UnsafeMutablePointer<Int>?, _: Int32, _: UnsafeMutablePointer<Int>?, _: Int,
    _: UInt32
) -> Int
@_silgen_name("lsetxattr")
private func libcSetxattr(
    _: UnsafePointer<CChar>, _: UnsafePointer<CChar>, _: UnsafeRawPointer?, _: Int, _: Int32
) -> Int32
@_silgen_name("lgetxattr")
private func libcGetxattr(
    _: UnsafePointer<CChar>, _: UnsafePointer<CChar>, _: UnsafeMutableRawPointer?, _: Int
) -> Int
@_silgen_name("llistxattr")
private func libcListxattr(_: UnsafePointer<CChar>, _: UnsafeMutableRawPointer?, _: Int) -> Int
@_silgen_name("lremovexattr")
private func libcRemovexattr(_: UnsafePointer<CChar>, _: UnsafePointer<CChar>) -> Int32
@_silgen_name("statvfs")
private func libcStatvfs(_: UnsafePointer<CChar>, _: UnsafeMutableRawPointer) -> Int32

@_silgen_name("mount")
private func libcMount(
    _: UnsafePointer<CChar>, _: UnsafePointer<CChar>, _: UnsafePointer<CChar>, _: UInt,
    _: UnsafePointer<CChar>?
) -> Int32

enum Call {
    /// mount(2) without flags.
    static func mount(
        source: String, at path: String, type: String, options: String
    ) throws {
        try checked(libcMount(source, path, type, 0, options))
    }

    @discardableResult
    static func checked<Value: SignedInteger>(_ value: Value) throws -> Value {
        if value < 0 { throw Errno(rawValue: errno) }
        return value
    }

    static func open(_ path: String, _ flags: Int32, _ mode: UInt32 = 0o644) throws -> Int32 {
        try checked(Glibc.open(path, flags | O_CLOEXEC, mode))
    }

    /// Opens, runs `body`, closes; an error of close(2) counts.
    static func withFile<Value>(
        _ path: String, _ flags: Int32, _ body: (Int32) throws -> Value
    ) throws -> Value {
        let file = try open(path, flags)
        let value: Value
        do { value = try body(file) } catch {
            close(file)
            throw error
        }
        try checked(close(file))
        return value
    }

    static func write(_ file: Int32, _ bytes: [UInt8], at offset: Int = 0) throws {
        let written = try checked(pwrite(file, bytes, bytes.count, offset))
        precondition(written == bytes.count, "a short write")
    }

    static func read(_ file: Int32, count: Int, at offset: Int = 0) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = try checked(pread(file, &bytes, count, offset))
        return Array(bytes[..<received])
    }

    static func create(_ path: String, _ bytes: [UInt8] = []) throws {
        try withFile(path, O_CREAT | O_WRONLY | O_TRUNC) { file in
            if !bytes.isEmpty { try write(file, bytes) }
        }
    }

    static func contents(_ path: String) throws -> [UInt8] {
        try withFile(path, O_RDONLY) { file in
            var all: [UInt8] = []
            while true {
                let more = try read(file, count: 1 << 20, at: all.count)
                if more.isEmpty { return all }
                all += more
            }
        }
    }

    static func status(_ path: String) throws -> stat {
        var status = stat()
        try checked(lstat(path, &status))
        return status
    }

    static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw Errno(rawValue: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return names
            }
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
    }

    static func rename(_ old: String, _ new: String, flags: UInt32 = 0) throws {
        try checked(libcRenameat2(AT_FDCWD, old, AT_FDCWD, new, flags))
    }

    static func fallocate(_ file: Int32, mode: Int32, offset: Int, length: Int) throws {
        try checked(libcFallocate(file, mode, offset, length))
    }

    static func copyRange(_ from: Int32, _ to: Int32, at offset: Int, length: Int) throws -> Int {
        var (input, output) = (0, offset)
        return try checked(libcCopyFileRange(from, &input, to, &output, length, 0))
    }

    static func setxattr(
        _ path: String, _ name: String, _ value: [UInt8], flags: Int32 = 0
    ) throws {
        try checked(libcSetxattr(path, name, value, value.count, flags))
    }

    /// With `room` 0 the length alone comes back, as so many zeros.
    static func getxattr(_ path: String, _ name: String, room: Int) throws -> [UInt8] {
        var value = [UInt8](repeating: 0, count: max(room, 1))
        let count = try checked(libcGetxattr(path, name, &value, room))
        return room == 0 ? [UInt8](repeating: 0, count: count) : Array(value[..<count])
    }

    static func listxattr(_ path: String, room: Int) throws -> [UInt8] {
        var value = [UInt8](repeating: 0, count: max(room, 1))
        let count = try checked(libcListxattr(path, &value, room))
        return room == 0 ? [UInt8](repeating: 0, count: count) : Array(value[..<count])
    }

    static func removexattr(_ path: String, _ name: String) throws {
        try checked(libcRemovexattr(path, name))
    }

    /// Lets the kernel forget every entry and inode of one mount that nobody uses: a remount drops unused
    /// entries (reconfigure_super), and FUSE keeps no inode without one. Unlike /proc/sys/vm/drop_caches it
    /// does not disturb tests beside this one.
    static func dropCaches(of path: String) throws {
        try checked(libcMount("none", path, "none", remount, nil))
    }

    /// MS_REMOUNT
    private static let remount: UInt = 32

    /// What a call failed with; `nil` when it did not.
    static func failure(_ body: () throws -> Void) -> Errno? {
        do {
            try body()
            return nil
        } catch { return error as? Errno }
    }
}
