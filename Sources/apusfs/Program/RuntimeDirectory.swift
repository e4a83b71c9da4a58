import Glibc

/// Where running mounts of a user are recorded; gone after a restart of the machine.
enum RuntimeDirectory {
    /// `/run/apusfs` for root, `/run/user/UID/apusfs` or `/tmp/apusfs-UID` for others. It does not
    /// depend on the environment, so that root finds a user's.
    static func location(userID: uid_t) -> String {
        if userID == 0 { return "/run/apusfs" }
        let session = "/run/user/\(userID)"
        return access(session, X_OK) == 0 ? "\(session)/apusfs" : "/tmp/apusfs-\(userID)"
    }

    /// Makes the directory of this user if need be. It belongs to the user, nobody else may enter it,
    /// and it is no symbolic link: in /tmp, somebody could have put one there.
    static func path() throws(CommandFailure) -> String {
        let path = location(userID: geteuid())
        if mkdir(path, 0o700) != 0 && errno != EEXIST {
            throw CommandFailure(path, "cannot make the directory", errno: errno)
        }
        guard isPrivate(path, of: geteuid()) else {
            throw CommandFailure(
                "\(path): has to be a directory of yours with mode 0700; remove what is there")
        }
        return path
    }

    /// Whether nobody but that user can have put anything there.
    static func isPrivate(_ path: String, of userID: uid_t) -> Bool {
        var information = stat()
        return lstat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
            && information.st_uid == userID && information.st_mode & 0o077 == 0
    }
}
