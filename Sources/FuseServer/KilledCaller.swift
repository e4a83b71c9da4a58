import Glibc
import Primitives

/// Whether the program whose request the calling worker serves has been killed: a fatal signal of any kind is
/// a pending SIGKILL in each of its threads (signal(7)), and the kernel waits for our answer to end it. Other
/// signals do not count: programs do not expect EINTR from files.
enum KilledCaller {
    static func isServed() -> Bool {
        guard let worker = Worker.current, worker.pointee.callerProcess > 0 else { return false }
        return isKilled(worker.pointee.callerProcess)
    }

    static func isKilled(_ thread: Int32) -> Bool {
        let file = open("/proc/\(thread)/status", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        // About 1,500 bytes; the lines about signals stand before the last ones.
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return false }
        return hasPendingKill(bytes[..<count])
    }

    /// Reads `SigPnd:` of /proc/PID/status (proc(5)): bits in hexadecimal, signal 1 lowest.
    static func hasPendingKill(_ status: ArraySlice<UInt8>) -> Bool {
        let label = Array("SigPnd:".utf8)
        guard let line = status.split(separator: 10).first(where: { $0.starts(with: label) }) else {
            return false
        }
        let digits = String(decoding: line.dropFirst(label.count), as: UTF8.self)
            .filter { !$0.isWhitespace }
        guard let pending = UInt64(digits, radix: 16) else { return false }
        return pending & (1 << (SIGKILL - 1)) != 0
    }
}
