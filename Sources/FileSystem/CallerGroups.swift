import Primitives

extension Caller {
    /// The supplementary groups of the calling process, read from /proc (proc(5), "Groups:"): some
    /// microseconds, so ask only where a decision needs them. Empty when the process is gone or the
    /// kernel itself asks.
    public func supplementaryGroups() -> [UInt32] {
        guard processID > 0 else { return [] }
        return Self.groups(
            inStatus: SystemFile.contents(of: "/proc/\(processID)/status") ?? [])
    }

    /// The numbers of the line "Groups:" of /proc/PID/status.
    static func groups(inStatus status: [UInt8]) -> [UInt32] {
        let label = Array("Groups:".utf8)
        for line in status.split(separator: UInt8(ascii: "\n")) where line.starts(with: label) {
            return line.dropFirst(label.count)
                .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
                .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
        }
        return []
    }
}
