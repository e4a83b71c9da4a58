/// How to mount and how to serve.
public struct FuseOptions: Sendable {
    /// Worker threads at most; libfuse starts them as they are needed. 4 to 8 suit 2 cores.
    public var threads = 8
    /// Over io_uring each CPU has `threads` of them (fewer where CPUs are many). `splice` goes by the device.
    public var transport = TransportChoice.auto
    /// A device descriptor for each worker (FUSE_DEV_IOC_CLONE): no gain below many cores.
    public var clonesDescriptors = false
    /// Receive and reply through pipes. Costs 20 to 30 % more CPU for a daemon that keeps the bytes.
    public var splice = false
    /// Let other users than the mounting one in.
    public var allowsOther = false
    /// The kernel checks permissions from mode, owner and group.
    public var defaultPermissions = true
    /// The filesystem keeps POSIX access control lists and applies `Caller.umask` to the modes of new inodes
    /// itself, since a default list replaces it. Only together with `defaultPermissions`.
    public var accessLists = true
    /// File handles find their inodes after the kernel has forgotten them, if the filesystem serves that.
    /// Linux 6.16 and later take what they found so for a name that is out of date (docs/FUSE.md).
    public var exportsHandles = false
    /// Locks that the kernel keeps for this mount alone, although the filesystem would serve them.
    public var localLocks: LockKinds = []
    public var readOnly = false
    /// What /proc/mounts shows as the source. Must not hold a password.
    public var sourceName = "apusfs"
    /// The type in /proc/mounts is `fuse.` and this.
    public var subtype = "apusfs"
    /// Further options of libfuse's mount, one word each (`noatime`, `nosuid`); nothing that it rejects.
    public var mountOptions: [String] = []
    /// Asynchronous requests (readahead, write-back of mappings) that the kernel keeps in flight.
    public var maxBackground = 64
    /// From here on the kernel skips readahead.
    public var congestionThreshold = 48
    /// The kernel's readahead window; INIT cannot raise it, so it is set through sysfs. 0: leave it.
    public var maxReadAheadBytes = 1 << 20
    /// How long `requestStop` waits for programs to let go of the mount before it is taken from them.
    public var stopGraceMilliseconds = 2_000
    /// libfuse logs each request.
    public var debug = false

    public init() {}

    /// The arguments for `fuse_session_new`: each option in one `-o`, with libfuse's escapes.
    var arguments: [String] {
        var words = ["fsname=" + Self.escaped(sourceName), "subtype=" + Self.escaped(subtype)]
        if defaultPermissions { words.append("default_permissions") }
        if allowsOther { words.append("allow_other") }
        if readOnly { words.append("ro") }
        if debug { words.append("debug") }
        words += mountOptions.map(Self.escaped)
        return words.map { "-o" + $0 }
    }

    /// A comma ends an option and a backslash escapes (fuse_opt.h, fuse_opt_add_opt_escaped).
    private static func escaped(_ word: String) -> String {
        word.replacing("\\", with: "\\\\").replacing(",", with: "\\,")
    }
}
