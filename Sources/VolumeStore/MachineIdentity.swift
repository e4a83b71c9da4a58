import Glibc

/// Names the set of processes that a process number is looked up in: this boot of this machine, and the
/// PID namespace.
public enum MachineIdentity {
    public static let current: String = {
        let boot = firstLine(of: "/proc/sys/kernel/random/boot_id")
        return boot.isEmpty ? "" : boot + " " + target(of: "/proc/self/ns/pid")
    }()

    /// Whether the process certainly does not exist any more.
    static func isGone(_ processID: Int32, machine: String) -> Bool {
        guard !machine.isEmpty, machine == current, processID > 0 else { return false }
        if kill(processID, 0) != 0 { return errno == ESRCH }
        return isZombie(processID)
    }

    /// It has ended, and nobody has asked for its status yet: the rule in containers whose first process
    /// is no init. proc(5), /proc/pid/stat: `pid (name) state ...`, where the name may hold anything.
    private static func isZombie(_ processID: Int32) -> Bool {
        let status = contents(of: "/proc/\(processID)/stat", limit: 512)
        guard let end = status.lastIndex(of: UInt8(ascii: ")")), end + 2 < status.count else {
            return false
        }
        return [UInt8(ascii: "Z"), UInt8(ascii: "X")].contains(status[end + 2])
    }

    private static func firstLine(of path: String) -> String {
        String(decoding: contents(of: path, limit: 64).prefix { $0 > 32 }, as: UTF8.self)
    }

    /// The first `limit` bytes of a file; empty when it cannot be read.
    private static func contents(of path: String, limit: Int) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? Array(bytes[..<count]) : []
    }

    private static func target(of path: String) -> String {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return "" }
        return String(
            decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
