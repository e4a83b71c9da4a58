/// What the INIT exchange settled. Recorded once for each mount; logged.
public struct Negotiated: Sendable, Equatable {
    /// The kernel's minor protocol version (the major one is 7).
    public var kernelMinorVersion: UInt32
    public var offered: InitFlags
    /// What the answer that reached the kernel asked for; a subset of `offered`.
    public var accepted: InitFlags
    /// The largest WRITE request.
    public var maxWriteBytes: Int
    /// The largest request of either direction, in pages.
    public var maxPages: Int
    public var maxBackground: Int
    public var congestionThreshold: Int
    public var splice: Bool

    /// FUSE_NOTIFY_INC_EPOCH (protocol 7.44): one message makes the kernel doubt every entry.
    var canInvalidateAllEntries: Bool { kernelMinorVersion >= 44 }
}

/// Decides the INIT answer: which flags libfuse shall send by itself, and which ones it cannot send and
/// are added to its answer afterwards. No I/O. docs/FUSE.md gives the reason for each flag.
struct NegotiationPolicy {
    let splice: Bool
    /// Rings are ready to take requests over io_uring.
    var hasRings = false

    /// libfuse's bufvec pipes hold at most /proc/sys/fs/pipe-max-size (1 MiB) for a process without
    /// CAP_SYS_RESOURCE, header included; a larger request would silently be read without splice.
    static let spliceMaxWriteBytes = (1 << 20) - (64 << 10)
    static let maxWriteBytes = 1 << 20

    /// The largest WRITE to ask for.
    var maxWriteBytes: Int { splice ? Self.spliceMaxWriteBytes : Self.maxWriteBytes }

    /// Flags that libfuse 3.14 cannot send: FUSE_CAP_PARALLEL_DIROPS is a wish that it forgets, for the
    /// others it has no name.
    var addedToAnswer: InitFlags {
        var flags: InitFlags = [.parallelDirectoryOperations, .abortError, .directIOAllowsMapping]
        // A spliced request is in a pipe: its kill flags cannot be seen, so the kernel keeps clearing
        // setuid and setgid itself.
        if !splice { flags.insert(.handleKillPrivileges2) }
        if hasRings { flags.insert(.overIOUring) }
        return flags
    }

    /// The flags of the answer, from the ones that libfuse chose: never one that the kernel did not offer.
    func amended(_ answered: InitFlags, offered: InitFlags) -> InitFlags {
        answered.union(addedToAnswer.intersection(offered))
    }
}
