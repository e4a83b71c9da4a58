import CLinux
import Foundation
import Glibc
import Primitives
import TestSupport

/// A filesystem in memory of a few megabytes, which a test can fill. It goes with the value.
final class SmallDisk {
    private let directory: TemporaryDirectory

    var path: String { directory.path }
    private var ballast: String { path + "/ballast" }

    init(megabytes: Int) throws {
        directory = try TemporaryDirectory(prefix: "apusfs-disk")
        try ProgramRun.run(
            ["mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", directory.path]
        ).checked()
    }

    deinit { _ = apusfs_umount(path, Int32(APUSFS_MNT_DETACH)) }

    /// Takes all the room that is left.
    func fill() throws {
        let file = try Descriptor(ballast, O_WRONLY | O_CREAT | O_APPEND)
        var count = 1 << 20
        while count > 0 {
            do throws(Errno) {
                try file.writeAll([UInt8](repeating: 1, count: count))
            } catch {
                guard error == .noSpace else { throw error }
                count /= 4
            }
        }
    }

    func makeRoom() throws { try SystemCall.unlink(ballast) }
}
