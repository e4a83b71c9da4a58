import CLinux
import Glibc
import Primitives

/// What the process behind a mount gives up before it opens anything.
enum Confinement {
    /// Set to anything, core dumps are as the system has them.
    static let coreDumpsVariable = "APUSFS_CORE_DUMPS"

    /// What a mount by root needs, by the numbers of linux/capability.h; docs/SECURITY.md has the table.
    enum Capability: UInt64, CaseIterable {
        /// Files of root in directories of others: the log file again at SIGHUP, the pid file at the end.
        case overrideAccess = 1
        /// Groups of callers where /proc is mounted with hidepid.
        case traceProcesses = 19
        /// mount(2) and umount2(2).
        case administer = 21
        /// PR_SET_IO_FLUSHER: writing out memory must not wait for this very filesystem.
        case useResources = 24
    }

    static func begin() throws(CommandFailure) {
        if Environment.all[coreDumpsVariable] == nil {
            try check(apusfs_forbid_core_dumps(), "cannot forbid core dumps")
        }
        try giveUpCapabilities()
    }

    /// Of this thread, of those that it starts, and of the programs that it starts. The allocator has threads
    /// before anything else happens, so the process behind a mount is started by one that did this.
    static func giveUpCapabilities() throws(CommandFailure) {
        // Others have none to give up, and fusermount3 has to get its own.
        guard geteuid() == 0 else { return }
        let kept = Capability.allCases.reduce(0 as UInt64) { $0 | 1 << $1.rawValue }
        try check(apusfs_keep_capabilities(kept), "cannot give up capabilities")
    }

    private static func check(_ failure: Int32, _ text: String) throws(CommandFailure) {
        guard failure == 0 else { throw CommandFailure("mount", text, errno: failure) }
    }
}
