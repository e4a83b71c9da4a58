import Glibc

/// Files in which the kernel tells and takes settings: proc(5), sysfs(5).
public enum SystemFile {
    /// 100,000 mounts with long paths.
    private static let maximumBytes = 64 << 20

    /// All bytes of a file; `nil` when it cannot be opened. At most 64 MiB.
    public static func contents(of path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while contents.count < maximumBytes {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            contents += chunk[..<count]
        }
        return contents
    }

    /// Writes a setting in one call. Says whether the kernel took it.
    public static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
    }
}
