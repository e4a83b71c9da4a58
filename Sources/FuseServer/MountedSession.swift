import CFuse
import Glibc
import Logging
import Primitives

/// A libfuse session with its mount. Owns the session: `destroy` is its last call.
struct MountedSession: @unchecked Sendable {
    // SAFETY: libfuse's session is made for use by many threads; `destroy` is called after all of them.
    let session: OpaquePointer
    let place: MountPlace

    init(
        at path: String, options: FuseOptions, server: FuseServer, logger: Logger
    ) throws(FuseError) {
        try MountPlace.check(path)
        let path = try MountPlace.resolve(path)
        LibfuseLog.send(to: logger)
        session = try Self.makeSession(options, server)
        guard fuse_session_mount(session, path) == 0 else {
            let error = errno
            fuse_session_destroy(session)
            throw Self.mountError(path, error)
        }
        guard let place = MountPlace(mountedAt: path) else {
            fuse_session_unmount(session)
            fuse_session_destroy(session)
            throw .mountFailed(path: path, reason: "it is not in /proc/self/mountinfo")
        }
        self.place = place
        var callbacks = Transport.callbacks(splice: options.splice)
        // The session's own descriptor: libfuse has mounted by itself, only its system calls are ours.
        let result = fuse_session_custom_io(session, &callbacks, fuse_session_fd(session))
        precondition(result == 0, "libfuse refused the transport: \(result)")
    }

    /// Blocks until the mount is gone. Returns 0 or a negative errno.
    func runLoop(_ options: FuseOptions) -> Int32 {
        guard let configuration = fuse_loop_cfg_create() else { return -ENOMEM }
        defer { fuse_loop_cfg_destroy(configuration) }
        // Idle threads stay as libfuse has it: they are never ended, which costs nothing and keeps each
        // worker's memory.
        fuse_loop_cfg_set_max_threads(configuration, UInt32(max(1, options.threads)))
        fuse_loop_cfg_set_clone_fd(configuration, options.clonesDescriptors ? 1 : 0)
        return fuse_session_loop_mt(session, configuration)
    }

    /// After every other use.
    func destroy() {
        var status = pollfd(fd: fuse_session_fd(session), events: 0, revents: 0)
        // fuse_session_unmount frees the path that libfuse keeps, but unmounts whatever is at that path
        // unless the connection is seen to be gone.
        if poll(&status, 1, 0) == 1, status.revents & Int16(POLLERR) != 0 {
            fuse_session_unmount(session)
        }
        fuse_session_destroy(session)
    }

    private static func makeSession(
        _ options: FuseOptions, _ server: FuseServer
    ) throws(FuseError) -> OpaquePointer {
        var arguments = fuse_args()
        defer { fuse_opt_free_args(&arguments) }
        for argument in ["apusfs"] + options.arguments {
            precondition(fuse_opt_add_arg(&arguments, argument) == 0, "no memory for an argument")
        }
        var table = OperationTable.make(splice: options.splice)
        LibfuseLog.forgetLastError()
        // SAFETY: the server outlives its session: `serve` and `deinit` destroy the session first.
        let session = fuse_session_new(
            &arguments, &table, MemoryLayout<fuse_lowlevel_ops>.size,
            Unmanaged.passUnretained(server).toOpaque())
        guard let session else {
            throw .optionsRejected(reason: LibfuseLog.lastError ?? "no reason given")
        }
        return session
    }

    private static func mountError(_ path: String, _ error: Int32) -> FuseError {
        let reason = LibfuseLog.lastError ?? "\(Errno(rawValue: error))"
        return geteuid() != 0 && Fusermount.path == nil || error == EPERM
            ? .notPermitted(path: path) : .mountFailed(path: path, reason: reason)
    }
}
