import CLinux
import Foundation
import TestSupport
import Testing

extension MountTests {
    /// What the process behind a mount has given up: docs/SECURITY.md.
    @Suite struct ConfinementTests {
        /// DAC_OVERRIDE, SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE, as linux/capability.h numbers them.
        private static let kept: UInt64 = 1 << 1 | 1 << 19 | 1 << 21 | 1 << 24

        private func status(_ process: pid_t, _ field: String) throws -> String {
            let text = String(
                decoding: try SystemCall.readFile("/proc/\(process)/status"), as: UTF8.self)
            let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
            return try #require(line?.split(separator: "\t").last.map(String.init), "\(field)")
        }

        private func coreLimit(_ process: pid_t) throws -> [String] {
            let text = String(
                decoding: try SystemCall.readFile("/proc/\(process)/limits"), as: UTF8.self)
            let line = text.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
            return try #require(line).split(separator: " ").dropFirst(4).prefix(2).map(String.init)
        }

        @Test(arguments: [Store.Kind.redis, .file])
        func `no thread of a mount by root has more capabilities than it needs`(
            kind: Store.Kind
        ) throws {
            try withMount(store: kind) { (mount) throws in
                let daemon = try #require(mount.daemon)
                let all = try FileManager.default.contentsOfDirectory(
                    atPath: "/proc/\(daemon)/task")
                #expect(all.count > 4)
                for thread in try all.map({ try #require(pid_t($0)) }) {
                    for set in ["CapEff", "CapPrm", "CapBnd"] {
                        let bits = try #require(UInt64(try status(thread, set), radix: 16))
                        #expect(bits == Self.kept & bits, "\(set) of \(thread)")
                        #expect(bits & 1 << 21 != 0, "it could not unmount")
                    }
                    #expect(try status(thread, "CapInh") == "0000000000000000")
                }
                // What needs them, or might.
                try BroadWorkload.run(mount.path, mount.path)
                try mount.dropCaches()
                try ProgramRun.run(["mount", "-i", "-o", "remount,ro", mount.path]).checked()
                try ProgramRun.run(["mount", "-i", "-o", "remount,rw", mount.path]).checked()
                try Program.run(["check", mount.path, "--data"]).checked()
                let moved = mount.logPath + ".1"
                try SystemCall.rename(mount.logPath, moved)
                kill(daemon, SIGHUP)
                #expect(Polling.wait { SystemCall.exists(mount.logPath) })
                try mount.remount()
                // umount(8), not ours, and SIGTERM: the process unmounts by itself.
                let again = try #require(mount.daemon)
                kill(again, SIGTERM)
                #expect(Polling.wait(limitSeconds: 30) { !Mount.isRunning(again) })
                #expect(!Mount.isMountPoint(mount.path))
                try mount.mount()
            }
        }

        @Test func `no core is dumped unless that was asked for`() throws {
            try withMount { (mount) throws in
                let daemon = try #require(mount.daemon)
                #expect(try coreLimit(daemon) == ["0", "0"])
            }
            let place = try TemporaryDirectory()
            let pidFile = place.path + "/pid"
            try SystemCall.mkdir(place.path + "/mnt")
            try ProgramRun.run(
                [
                    "sh", "-c", "ulimit -c 4096; exec \"$@\"", "sh", Program.path, "mount",
                    "memory:", place.path + "/mnt", "--pid-file", pidFile, "--log-file",
                    place.path + "/log",
                ], environment: ["APUSFS_CORE_DUMPS": "1"]
            ).checked()
            defer { _ = try? Program.run(["umount", "--lazy", place.path + "/mnt"]) }
            let text = String(decoding: try SystemCall.readFile(pidFile), as: UTF8.self)
            let daemon = try #require(pid_t(text.dropLast()))
            #expect(try coreLimit(daemon).first != "0")
        }
    }
}
