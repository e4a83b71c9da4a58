import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// A server with a limit, filled through a mount.
    @Suite struct FullServerTests {
        @Test
        func
            `when no data fits any more, names and attributes still change, and room lets data in`()
            throws
        {
            let server = try RedisServer(arguments: ["--appendonly", "yes"])
            let volume = try FaultVolume(
                on: server, flags: ["--cache-size", "32M", "--flush-interval", "200ms"])
            defer { volume.cleanUp() }
            let limit = 64 << 20
            let reserve = limit / 32
            try server.cli("CONFIG", "SET", "maxmemory", "\(limit)")
            try volume.mount()
            let root = volume.path
            let bytes = Bytes.pattern(3 << 20, seed: 1)
            var stored: [String] = []
            #expect(throws: Errno.noSpace) {
                for number in 0..<40 {
                    let name = "\(root)/data-\(number)"
                    let file = try Descriptor(name, O_WRONLY | O_CREAT)
                    try file.writeAll(bytes)
                    try file.sync()
                    try file.close()
                    stored.append(name)
                }
            }
            #expect(stored.count >= 10)
            // What waits to be written to the append-only file does not count.
            let isKept = try Polling.wait {
                let counted =
                    try server.information("used_memory")
                    - server.information("mem_not_counted_for_evict")
                return counted < limit - reserve / 2
            }
            #expect(isKept)
            // The file that did not fit.
            try SystemCall.unlink("\(root)/data-\(stored.count)")

            // As many names as take half of the reserve.
            for number in 0..<reserve / 2 / 700 {
                try SystemCall.writeFile("\(root)/empty-\(number)")
            }
            try SystemCall.mkdir(root + "/directory")
            try SystemCall.rename(stored[0], root + "/directory/renamed")
            try SystemCall.rename(stored[1], stored[2])
            try SystemCall.link(stored[3], root + "/linked")
            try SystemCall.symlink("linked", root + "/symbolic")
            try SystemCall.setXattr(stored[3], "user.note", Array("note".utf8))
            try SystemCall.truncate(stored[3], 10 << 20)
            try SystemCall.truncate(stored[3], 1_000)
            let isSeen = try Polling.wait {
                let figures = try SystemCall.statvfs(root)
                let size = Int(figures.f_blocks) * Int(figures.f_frsize)
                let kept = Int(figures.f_bfree - figures.f_bavail) * Int(figures.f_frsize)
                return size == limit && abs(kept - reserve) <= 2 * Int(figures.f_frsize)
            }
            #expect(isSeen)

            // What was removed and cut above is dropped in the background.
            let again = root + "/again"
            let isLetIn = Polling.wait(limitSeconds: 30) {
                do throws(Errno) {
                    try SystemCall.writeFile(again, bytes)
                    return true
                } catch {
                    return false
                }
            }
            #expect(isLetIn)
            #expect(try volume.unmount() == 0)
            try volume.mount()
            #expect(try SystemCall.readFile(again) == bytes)
            #expect(try SystemCall.readFile(stored[2]) == bytes)
            #expect(try SystemCall.readFile(root + "/directory/renamed") == bytes)
            #expect(try SystemCall.readFile(root + "/symbolic") == Array(bytes[..<1_000]))
            #expect(try volume.unmount() == 0)
            let checked = try volume.check(["--data"])
            #expect(checked.status == 0, "\(checked)")
        }
    }
}
