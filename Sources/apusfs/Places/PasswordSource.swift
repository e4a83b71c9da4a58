import Glibc
import Primitives

/// Finds the password for a source, in this order: the password file, `APUSFS_REDIS_PASSWORD`,
/// `REDISCLI_AUTH`, the source itself. Sentinels that want a password of their own get that of
/// `APUSFS_SENTINEL_PASSWORD`.
enum PasswordSource {
    static let environmentNames = ["APUSFS_REDIS_PASSWORD", "REDISCLI_AUTH"]
    static let sentinelEnvironmentName = "APUSFS_SENTINEL_PASSWORD"

    /// Redis compares passwords of at most 512 bytes (`CONFIG_AUTHPASS_MAX_LEN`).
    static let maximumFileBytes = 4_096

    /// `source` with the password that is to be used. A source without a server needs none. `owner`: who named
    /// the password file, where that is not the caller.
    static func complete(
        _ source: Source, passwordFile: String?, owner: uid_t? = nil,
        environment: [String: String]
    ) throws(CommandFailure) -> Source {
        var complete = source
        if let passwordFile {
            complete.password = try read(passwordFile, owner: owner)
        } else if !source.isPrivate,
            let name = environmentNames.first(where: { environment[$0]?.isEmpty == false })
        {
            complete.password = environment[name].map(Secret.init)
        }
        if case .sentinels = source.place, let text = environment[sentinelEnvironmentName],
            !text.isEmpty
        {
            complete.sentinelPassword = Secret(text)
        }
        if let user = source.user, complete.password == nil {
            throw CommandFailure(
                "\(source): no password for user '\(user)': give --password-file or "
                    + "APUSFS_REDIS_PASSWORD (a password without a user is written redis://:PASSWORD@host)",
                status: .usage)
        }
        return complete
    }

    /// The first line of the file, which nobody but its owner may read: the caller, or root, who may have
    /// written it for the caller. A file that another user has named has to be that user's: or root would
    /// send what only root may read to the server that the user has named as well.
    static func read(_ path: String, owner: uid_t? = nil) throws(CommandFailure) -> Secret {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw CommandFailure(path, "cannot read the password file", errno: errno)
        }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            throw CommandFailure(path, "cannot read the password file", errno: errno)
        }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw CommandFailure("\(path): the password file is not a regular file")
        }
        guard information.st_mode & 0o077 == 0 else {
            throw CommandFailure(
                "\(path): others may read the password file; run: chmod 600 \(path)")
        }
        let owners: [uid_t] = if let owner { [owner] } else { [geteuid(), 0] }
        guard owners.contains(information.st_uid) else {
            throw CommandFailure("\(path): the password file belongs to somebody else")
        }
        var bytes = [UInt8](repeating: 0, count: maximumFileBytes + 1)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else {
            throw CommandFailure(path, "cannot read the password file", errno: errno)
        }
        guard count <= maximumFileBytes else {
            throw CommandFailure("\(path): the password file is larger than a password can be")
        }
        let line = bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }
        let trimmed = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        guard !trimmed.isEmpty else {
            throw CommandFailure("\(path): the first line of the password file is empty")
        }
        guard let text = String(validating: trimmed, as: UTF8.self) else {
            throw CommandFailure("\(path): the password is not UTF-8 text")
        }
        return Secret(text)
    }
}
