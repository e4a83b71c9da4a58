import Glibc

/// Mounts that live on in other mount namespaces: of containers, and of services that systemd starts. A
/// namespace is made with a copy of what is mounted just then, and where the copies are private nobody
/// outside can take them away: the process behind the mount serves them for as long as the namespace lives.
enum MountNamespaces {
    /// One process of each other namespace in which the device (`0:40`) is mounted, as far as this user may
    /// look: `123 (sleep)`.
    static func holders(of device: String) throws(CommandFailure) -> [String] {
        var seen: Set<String> = []
        if let own = name(of: "self") { seen.insert(own) }
        var holders: [String] = []
        for process in try Directories.list("/proc") where Int32(process) != nil {
            guard let name = name(of: process), seen.insert(name).inserted,
                holds(process, device: device)
            else { continue }
            let command = text("/proc/\(process)/comm").filter { !$0.isNewline }
            holders.append("\(process) (\(command))")
        }
        return holders
    }

    private static func holds(_ process: String, device: String) -> Bool {
        MountTable.parse(text("/proc/\(process)/mountinfo")).contains { $0.device == device }
    }

    private static func text(_ path: String) -> String {
        String(
            decoding: Directories.contents(of: path, limit: MountTable.limitBytes) ?? [],
            as: UTF8.self)
    }

    /// `mnt:[4026531841]`
    private static func name(of process: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/\(process)/ns/mnt", &buffer, buffer.count)
        return count > 0
            ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }
}
