import Glibc
import Primitives

/// What the command line does with directories and small files.
enum Directories {
    /// The path without symbolic links, `.` and `..` (realpath(3)); nil, with errno, if it is not there.
    static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static var working: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard let path = getcwd(&buffer, buffer.count) else { return "/" }
        return String(cString: path)
    }

    /// `path` seen from the working directory.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(working)/\(path)"
    }

    /// Makes the directory, and those above it with mode 0755, where they are missing.
    static func make(_ path: String, mode: mode_t) throws(CommandFailure) {
        let parts = absolute(path).split(separator: "/")
        var current = ""
        for (index, part) in parts.enumerated() {
            current += "/\(part)"
            if mkdir(current, index == parts.count - 1 ? mode : 0o755) == 0 { continue }
            guard errno == EEXIST || access(current, F_OK) == 0 else {
                throw CommandFailure(current, "cannot make the directory", errno: errno)
            }
        }
        var information = stat()
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure("\(path): not a directory")
        }
    }

    /// The names in a directory, without `.` and `..`.
    static func list(_ path: String) throws(CommandFailure) -> [String] {
        guard let stream = opendir(path) else {
            throw CommandFailure(path, "cannot read the directory", errno: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The beginning of a small file; nil if it cannot be read.
    static func contents(of path: String, limit: Int) -> [UInt8]? {
        do throws(Errno) {
            return try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK).readAll(limit: limit)
        } catch {
            return nil
        }
    }

    /// Moves a file aside, to `PATH.1`, when it has grown too large.
    static func rotate(_ path: String, limitBytes: Int) {
        var information = stat()
        guard stat(path, &information) == 0, information.st_size > limitBytes else { return }
        rename(path, "\(path).1")
    }

    /// Writes a file of mode 0600 so that a reader sees the old one or the new one, never a part.
    static func replace(_ path: String, with text: String) throws(CommandFailure) {
        let temporary = "\(path).\(getpid())"
        do throws(Errno) {
            unlink(temporary)
            let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL)
            try file.writeAll(Array(text.utf8))
            guard rename(temporary, path) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            unlink(temporary)
            throw CommandFailure(path, "cannot write it", errno: error.rawValue)
        }
    }
}

/// A short name for a long path.
enum Fingerprint {
    /// FNV-1a, 64 bits, as 16 hexadecimal digits.
    static func of(_ text: String) -> String {
        let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
