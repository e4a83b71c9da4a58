import CFuse

/// A request as it came from the kernel, for the few facts that libfuse 3.14 does not hand on. Lent for the
/// length of the transport's receive call.
struct RawRequest {
    // SAFETY: every load is checked against the count.
    private let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var opcode: UInt32 { load(fuse_in_header.self, at: 0)?.opcode ?? 0 }

    /// Whether the kernel asks to clear setuid and setgid (protocol 7.33, FUSE_HANDLE_KILLPRIV_V2).
    var clearsPrivileges: Bool {
        switch fuse_opcode(opcode) {
        case FUSE_WRITE: (argument(fuse_write_in.self)?.write_flags ?? 0) & Self.writeKill != 0
        case FUSE_OPEN: (argument(fuse_open_in.self)?.open_flags ?? 0) & Self.openKill != 0
        case FUSE_CREATE: (argument(fuse_create_in.self)?.open_flags ?? 0) & Self.openKill != 0
        case FUSE_SETATTR: (argument(fuse_setattr_in.self)?.valid ?? 0) & Self.setattrKill != 0
        default: false
        }
    }

    /// The arguments of an INIT request; `nil` for any other and for kernels older than 7.36.
    var initialization: fuse_init_in? {
        fuse_opcode(opcode) == FUSE_INIT ? argument(fuse_init_in.self) : nil
    }

    /// FUSE_WRITE_KILL_SUIDGID
    private static let writeKill: UInt32 = 1 << 2
    /// FUSE_OPEN_KILL_SUIDGID
    private static let openKill: UInt32 = 1 << 0
    /// FATTR_KILL_SUIDGID
    private static let setattrKill: UInt32 = 1 << 11

    private func argument<Argument: BitwiseCopyable>(_ type: Argument.Type) -> Argument? {
        load(type, at: MemoryLayout<fuse_in_header>.size)
    }

    private func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value? {
        guard bytes.count >= offset + MemoryLayout<Value>.size else { return nil }
        return bytes.loadUnaligned(fromByteOffset: offset, as: type)
    }
}
