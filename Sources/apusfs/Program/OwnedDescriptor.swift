import CLinux
import Glibc
import Primitives

/// A descriptor that is closed with the object.
final class OwnedDescriptor: Sendable {
    let raw: Int32

    init(taking raw: Int32) { self.raw = raw }

    deinit { close(raw) }

    /// Opens a file. It is never inherited by other programs, and never a symbolic link.
    static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0o600
    ) throws(Errno) -> OwnedDescriptor {
        let raw = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        return OwnedDescriptor(taking: raw)
    }

    /// A pipe whose ends other programs do not inherit.
    static func pipe() throws(Errno) -> (read: OwnedDescriptor, write: OwnedDescriptor) {
        var ends: [Int32] = [-1, -1]
        let result = apusfs_pipe(&ends)
        guard result == 0 else { throw Errno(rawValue: result) }
        return (OwnedDescriptor(taking: ends[0]), OwnedDescriptor(taking: ends[1]))
    }

    /// Waits until one of the descriptors is readable or closed at its other end; answers which, in
    /// order, and none once the deadline has passed.
    static func awaitReadable(_ raw: [Int32], until deadline: Deadline?) -> [Int32] {
        var entries = raw.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while true {
            let left = deadline.map { Int32(clamping: $0.remainingMilliseconds) } ?? -1
            let count = poll(&entries, nfds_t(entries.count), left)
            if count < 0 && errno == EINTR { continue }
            return entries.filter { $0.revents != 0 }.map(\.fd)
        }
    }

    /// Writes all bytes, over several calls if need be.
    func writeAll(_ bytes: some Collection<UInt8>) throws(Errno) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(raw, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Errno(rawValue: errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Waits for bytes; none at the end.
    func readSome() throws(Errno) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(raw, &buffer, buffer.count)
            if count >= 0 { return Array(buffer[..<count]) }
            if errno != EINTR { throw Errno(rawValue: errno) }
        }
    }

    /// Reads to the end, at most `limit` bytes.
    func readAll(limit: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let some = try readSome()
            if some.isEmpty { break }
            bytes += some
        }
        return Array(bytes.prefix(limit))
    }
}
