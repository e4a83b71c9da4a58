import FileSystem
import Primitives

// setuid and setgid go with changes of content (HANDLE_KILLPRIV_V2, docs/FUSE.md).
extension VolumeFileSystem {
    /// Runs `body`, which clears setuid and setgid as `clearing` says, and makes the kernel ask for the
    /// permissions when it has: it believes those that it knows, when a program asks for nothing else and
    /// when one is run, until it has changed them itself.
    func telling<Result>(
        ofPrivilegesOf state: InodeState, _ clearing: PrivilegeClearing,
        _ body: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        guard clearing.newPermissions(of: state.record) != nil else { return try body() }
        defer { tellKernel { $0.expireAttributes(state.id) } }
        return try body()
    }
}
