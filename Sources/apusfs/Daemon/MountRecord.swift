import Glibc
import Primitives

/// What is known about a running mount to other commands: a small file in the runtime directory, for
/// as long as the mount lives.
///
/// The process holds a lock on the file, so that a record whose lock is free is one of a process that
/// died. A record that is still there after its process ended tells that it did not end well.
struct MountRecord: Equatable, Sendable, Codable {
    var process: Int32
    var mountPoint: String
    /// Without password.
    var source: String
    var volume: String
    /// The mount shows the keys of a database, not a volume.
    var showsKeys: Bool?
    var passwordFile: String?
    var tls: TLSSettings?
    var logFile: String?
    var isReadOnly: Bool
    /// Nanoseconds since 1970.
    var since: Int64
    /// What went wrong while the mount ended, if anything did.
    var failure: String?

    static let limitBytes = 65_536

    static func path(of mountPoint: String, userID: uid_t) -> String {
        "\(RuntimeDirectory.location(userID: userID))/\(Fingerprint.of(mountPoint)).json"
    }

    /// The record of a mount, whether or not its process lives. Root sees those of all users who have
    /// something mounted, and without `userID` its own.
    static func find(mountPoint: String, userID: uid_t?) throws(CommandFailure) -> MountRecord? {
        let owner = userID ?? geteuid()
        let path = path(of: mountPoint, userID: owner)
        guard RuntimeDirectory.isPrivate(RuntimeDirectory.location(userID: owner), of: owner),
            let bytes = Directories.contents(of: path, limit: limitBytes), !bytes.isEmpty
        else { return nil }
        let record = try JSON.value(MountRecord.self, from: bytes)
        return record.mountPoint == mountPoint ? record : nil
    }

    /// The process that serves the mount, if it lives. What root does to it (`umount --force`) must not hit
    /// another one that the user has written there: it has to be the user's own.
    func serving(userID: uid_t?) -> ProcessHandle? {
        let owner = userID ?? geteuid()
        let path = "\(Self.path(of: mountPoint, userID: owner)).lock"
        guard let lock = FileLock(existing: path) else { return nil }
        // The handle first: if the lock is held after that, it is of this process and not of one that
        // was given its number later.
        guard let handle = ProcessHandle(id: process), handle.userID == owner,
            !lock.attempt(.shared)
        else { return nil }
        return handle
    }

    /// Removes what a process that has died left, unless another one serves the same mount by now.
    static func remove(mountPoint: String, userID: uid_t?) {
        let owner = userID ?? geteuid()
        guard RuntimeDirectory.isPrivate(RuntimeDirectory.location(userID: owner), of: owner) else {
            return
        }
        let path = path(of: mountPoint, userID: owner)
        if let lock = FileLock(existing: "\(path).lock") {
            guard lock.attempt(.exclusive) else { return }
            unlink("\(path).lock")
        }
        unlink(path)
    }
}

/// The record of the mount that this process serves.
final class MountRegistration: Sendable {
    private let path: String
    private let lock: FileLock
    private let record: Locked<MountRecord>

    /// Registers the mount. Fails if another process serves the same mount point.
    init(_ record: MountRecord) throws(CommandFailure) {
        _ = try RuntimeDirectory.path()
        path = MountRecord.path(of: record.mountPoint, userID: geteuid())
        lock = try Self.takeLock("\(path).lock", mountPoint: record.mountPoint)
        self.record = Locked(record)
        try Directories.replace(path, with: JSON.text(record))
    }

    /// A process that is unmounting the same directory may still be writing out its data.
    static let patienceMilliseconds = 2_000

    private static func takeLock(
        _ path: String, mountPoint: String
    ) throws(CommandFailure) -> FileLock {
        let deadline = Deadline.after(milliseconds: patienceMilliseconds)
        repeat {
            let lock = try FileLock(path: path)
            // The holder before us removes the file while it holds the lock: then this is not it.
            if lock.take(.exclusive, until: deadline), lock.isLinked { return lock }
        } while !deadline.hasPassed
        throw CommandFailure(
            "\(mountPoint): another apusfs process serves this directory; if it is unmounting, "
                + "wait for it with: apusfs umount \(mountPoint)")
    }

    /// Ends the registration. With a failure, the record stays for `apusfs umount` to show.
    func end(failure: String?) throws(CommandFailure) {
        defer { unlink("\(path).lock") }
        guard let failure else {
            unlink(path)
            return
        }
        let ended = record.withLock { record in
            record.failure = failure
            return record
        }
        try Directories.replace(path, with: JSON.text(ended))
    }
}
