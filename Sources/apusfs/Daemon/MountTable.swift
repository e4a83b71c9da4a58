import Primitives

/// One line of /proc/self/mountinfo (proc(5)).
struct MountEntry: Equatable, Sendable {
    let mountPoint: String
    /// `0:40`
    let device: String
    /// `fuse.apusfs`, `ext4`, ...
    let kind: String
    /// What is mounted, as it wants to be shown: for ApusFS a source with `***` for a password.
    let source: String
    /// The user that mounted it (`user_id=` of FUSE); nil for other filesystems.
    let userID: UInt32?

    static let ownKind = "fuse.apusfs"

    var isOurs: Bool { kind == Self.ownKind }

    init(mountPoint: String, device: String, kind: String, source: String, userID: UInt32?) {
        self.mountPoint = mountPoint
        self.device = device
        self.kind = kind
        self.source = source
        self.userID = userID
    }

    /// `36 35 98:0 /root /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
    init?(line: Substring) {
        let fields = line.split(separator: " ")
        guard let dash = fields.dropFirst(6).firstIndex(of: "-"), fields.count > dash + 3 else {
            return nil
        }
        device = String(fields[2])
        mountPoint = Self.unescape(fields[4])
        kind = Self.unescape(fields[dash + 1])
        source = Self.unescape(fields[dash + 2])
        userID = fields[dash + 3].split(separator: ",")
            .first { $0.hasPrefix("user_id=") }.flatMap { UInt32($0.dropFirst("user_id=".count)) }
    }

    /// The kernel writes space, tab, newline and backslash as `\040`.
    static func unescape(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What is mounted, as this process sees it.
enum MountTable {
    static let limitBytes = 16 << 20

    static func entries() throws(CommandFailure) -> [MountEntry] {
        let path = "/proc/self/mountinfo"
        guard let bytes = Directories.contents(of: path, limit: limitBytes) else {
            throw CommandFailure("\(path): cannot be read; is /proc mounted?")
        }
        return parse(String(decoding: bytes, as: UTF8.self))
    }

    static func parse(_ text: String) -> [MountEntry] {
        text.split(separator: "\n").compactMap { MountEntry(line: $0) }
    }

    /// What is mounted exactly there; the last one hides those before it.
    static func entry(at mountPoint: String) throws(CommandFailure) -> MountEntry? {
        try entries().last { $0.mountPoint == mountPoint }
    }
}
