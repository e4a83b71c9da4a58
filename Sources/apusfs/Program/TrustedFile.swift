import Glibc
import Primitives

/// Files that somebody else could have put in the place of ours, in a directory that others may write to.
enum TrustedFile {
    /// Opens a file that belongs to `owner` or to root, is no symbolic link and has no second name. It is made,
    /// with mode 0600, if `flags` say so. A device is let through when root owns it (`/dev/null`).
    static func open(
        _ path: String, _ flags: Int32, owner: uid_t = geteuid(), called name: String
    ) throws(CommandFailure) -> OwnedDescriptor {
        let file: OwnedDescriptor
        do throws(Errno) {
            // A fifo must not keep us waiting for its other end.
            file = try .open(path, flags | O_NONBLOCK)
        } catch {
            guard error.rawValue != ELOOP else {
                throw CommandFailure("\(path): the \(name) must not be a symbolic link")
            }
            throw CommandFailure(path, "cannot open the \(name)", errno: error.rawValue)
        }
        var information = stat()
        guard fstat(file.raw, &information) == 0 else {
            throw CommandFailure(path, "cannot open the \(name)", errno: errno)
        }
        guard [owner, 0].contains(information.st_uid) else {
            throw CommandFailure(
                "\(path): the \(name) belongs to somebody else (user \(information.st_uid))")
        }
        switch information.st_mode & S_IFMT {
        case S_IFREG:
            guard information.st_nlink <= 1 else {
                throw CommandFailure("\(path): the \(name) must not have a second name (link)")
            }
        case S_IFCHR where information.st_uid == 0: break
        case _: throw CommandFailure("\(path): the \(name) is not a regular file")
        }
        return file
    }
}
