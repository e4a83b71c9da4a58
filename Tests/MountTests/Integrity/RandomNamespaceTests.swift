import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Random changes of names on the mount and, the same, on a local filesystem: each call must have the same
    /// outcome, and the trees must be the same.
    @Suite struct RandomNamespaceTests {
        @Test func `every call has the outcome that a local filesystem has`() throws {
            let seed = Scale.seed
            print("random names: APUSFS_TEST_SEED=\(seed)")
            let local = try TemporaryDirectory(prefix: "apusfs-reference")
            try withMount { mount in
                var program = RandomNamespaceProgram(seed: seed, places: [mount.path, local.path])
                for step in 0..<Scale.randomOperations * 5 {
                    if let difference = program.step() {
                        Issue.record("\(difference) at step \(step), seed \(seed)")
                        return
                    }
                }
                let wanted = try tree(local.path)
                #expect(try tree(mount.path) == wanted, "seed \(seed)")
                try mount.remount()
                #expect(try tree(mount.path) == wanted, "mounted again, seed \(seed)")
            }
        }

        /// Name, kind, mode, links, size of files, target and content of everything.
        private func tree(_ path: String) throws -> String {
            let script = """
                cd "$1" && find . -mindepth 1 \\( -type f -printf '%P %y %m %n %s\\n' \\) \
                    -o -printf '%P %y %m %n %l\\n' | LC_ALL=C sort
                find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r md5sum
                """
            return try ProgramRun.run(["sh", "-c", script, "sh", path]).checked().output
        }
    }
}

/// The same random call in several places.
private struct RandomNamespaceProgram {
    private static let names = ["a", "b", "c", "d"]

    private var random: SeededRandom
    private let places: [String]

    init(seed: UInt64, places: [String]) {
        random = SeededRandom(seed: seed)
        self.places = places
    }

    /// What differs, if anything does.
    mutating func step() -> String? {
        let (name, call) = choose()
        let outcomes = places.map { place in
            do throws(Errno) {
                try call(place)
                return "done"
            } catch {
                return "\(error)"
            }
        }
        return Set(outcomes).count == 1 ? nil : "\(name): \(outcomes)"
    }

    private typealias Call = (_ place: String) throws(Errno) -> Void

    private mutating func choose() -> (String, Call) {
        let first = path()
        let second = path()
        let number = random.next() % 4_096
        switch random.next() % 14 {
        case 0, 1:
            let bytes = Bytes.text(Int(number), seed: number)
            return (
                "write \(first)",
                { place throws(Errno) in
                    // Not waiting for the reader of a fifo.
                    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK
                    try Descriptor(place + first, flags).write(bytes)
                }
            )
        case 2, 3:
            return (
                "mkdir \(first)", { place throws(Errno) in try SystemCall.mkdir(place + first) }
            )
        case 4:
            return (
                "rmdir \(first)", { place throws(Errno) in try SystemCall.rmdir(place + first) }
            )
        case 5:
            return (
                "unlink \(first)", { place throws(Errno) in try SystemCall.unlink(place + first) }
            )
        case 6:
            return (
                "link \(first) \(second)",
                { place throws(Errno) in
                    try SystemCall.link(place + first, place + second)
                }
            )
        case 7:
            return (
                "symlink \(first)",
                { place throws(Errno) in
                    try SystemCall.symlink("target-\(number)", place + first)
                }
            )
        case 8:
            return (
                "chmod \(first)",
                { place throws(Errno) in
                    // Never of a symbolic link's target, which is not there.
                    try SystemCall.chmod(place + first, mode_t(number & 0o777 | 0o700))
                }
            )
        case 9:
            return (
                "mkfifo \(first)",
                { place throws(Errno) in
                    try SystemCall.mknod(place + first, S_IFIFO | 0o600)
                }
            )
        case 10, 11:
            return (
                "rename \(first) \(second)",
                { place throws(Errno) in
                    try SystemCall.rename(place + first, place + second)
                }
            )
        default:
            let flags = [APUSFS_RENAME_NOREPLACE, APUSFS_RENAME_EXCHANGE][Int(number % 2)]
            return (
                "renameat2 \(first) \(second) \(flags)",
                { place throws(Errno) in
                    try SystemCall.rename(place + first, place + second, flags: UInt32(flags))
                }
            )
        }
    }

    /// One to four names deep, out of few names, so that calls meet.
    private mutating func path() -> String {
        let depth = 1 + Int(random.next() % 4)
        return (0..<depth).map { _ in "/" + Self.names[Int(random.next() % 4)] }.joined()
    }
}
