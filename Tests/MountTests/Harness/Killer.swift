import CLinux
import Primitives
import TestSupport
import Testing

/// Kills the daemon of a mount at a random moment.
final class Killer: Sendable {
    private let killed = Locked(false)
    private let thread = Locked<TestThread?>(nil)

    /// Said before the daemon is ended.
    var hasKilled: Bool { killed.withLock { $0 } }

    init(_ mount: Mount, seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let moment = Deadline.after(milliseconds: Int.random(in: 100...1_500, using: &random))
        let started = TestThread(name: "killer") { [self] in
            let never = Monitor(false)
            let _: Void? = never.wait(until: moment) { $0 ? () : nil }
            killed.withLock { $0 = true }
            do {
                try mount.killDaemon()
                // A notification that the daemon was sending may wait for a directory that a request
                // holds, which waits for the daemon: the kernel ends both by force only (docs/FUSE.md).
                _ = apusfs_umount(mount.path, Int32(APUSFS_MNT_FORCE))
            } catch {
                Issue.record("\(error)")
            }
        }
        thread.withLock { $0 = started }
    }

    func join() { thread.withLock { $0 }?.join() }

    /// Waits until the daemon is dead, and mounts again.
    func revive(_ mount: Mount) {
        join()
        // The kernel notices a moment later that the daemon is gone.
        var reason = ""
        let isBack = Polling.wait(limitSeconds: 30) {
            _ = apusfs_umount(mount.path, Int32(APUSFS_MNT_FORCE))
            do {
                try mount.mount()
                return true
            } catch {
                reason = "\(error)"
                return false
            }
        }
        #expect(isBack, "\(reason)")
    }
}
