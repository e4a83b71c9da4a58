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
        return kill(processID, 0) != 0 && errno == ESRCH
    }

    private static func firstLine(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return "" }
        return String(decoding: bytes[..<count].prefix { $0 > 32 }, as: UTF8.self)
    }

    private static func target(of path: String) -> String {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return "" }
        return String(
            decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
