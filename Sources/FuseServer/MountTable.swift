import Primitives

/// /proc/self/mountinfo (proc(5)): what is mounted where, asked without touching any mount.
struct MountTable {
    struct Entry: Equatable {
        var device: Device
        var path: [UInt8]
    }

    /// The device number of a mount, which names it while it lives.
    struct Device: Hashable, Sendable {
        var major: UInt32
        var minor: UInt32
    }

    let entries: [Entry]

    init(mountinfo: [UInt8]) {
        entries = mountinfo.split(separator: UInt8(ascii: "\n")).compactMap(Self.entry)
    }

    static func current() -> MountTable {
        MountTable(mountinfo: SystemFile.contents(of: "/proc/self/mountinfo") ?? [])
    }

    /// What programs see at `path`: the last mount there hides the others.
    func device(at path: String) -> Device? {
        let path = Array(path.utf8)
        return entries.last { $0.path == path }?.device
    }

    /// Fields: id, parent, major:minor, root, mount point, ...
    private static func entry(of line: ArraySlice<UInt8>) -> Entry? {
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
        guard fields.count > 4 else { return nil }
        let numbers = fields[2].split(separator: UInt8(ascii: ":"))
            .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
        guard numbers.count == 2 else { return nil }
        return Entry(
            device: Device(major: numbers[0], minor: numbers[1]), path: unescaped(fields[4]))
    }

    /// Space, tab, newline and backslash stand as a backslash and three octal digits.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            let isOctal =
                digits.count == 3 && digits.allSatisfy { (0x30...0x37).contains($0) }
            guard byte == UInt8(ascii: "\\"), isOctal else {
                result.append(byte)
                continue
            }
            result.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 0x30) })
            rest = rest.dropFirst(3)
        }
        return result
    }
}
