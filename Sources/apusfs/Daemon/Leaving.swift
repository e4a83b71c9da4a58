import Glibc
import Logging
import Primitives

/// Unmounting from the outside: takes the mount away and waits for the process behind it.
enum Leaving {
    static let standardTimeout = TimeSpan(milliseconds: 120_000)

    static func leave(
        _ path: String, _ flags: Unmounting.Flags, timeout: TimeSpan
    ) throws(CommandFailure) {
        let mountPoint = try MountPoint.canonical(path)
        let entry = try MountTable.entry(at: mountPoint)
        if let entry, !entry.isOurs {
            throw CommandFailure(
                "\(mountPoint): \(entry.source) (\(entry.kind)) is mounted there, not ApusFS; "
                    + "run: umount \(mountPoint)")
        }
        let userID = entry?.userID
        let record = try MountRecord.find(mountPoint: mountPoint, userID: userID)
        // Before unmounting: a process that ends at once could not be found any more.
        let process = record?.serving(userID: userID)
        guard entry != nil || process != nil else {
            throw CommandFailure("\(mountPoint): nothing is mounted there")
        }
        if entry != nil { try Unmounting.unmount(mountPoint, flags) }
        guard let record else {
            Console.error(
                "warning: \(mountPoint): unmounted, but the process behind it is not known, so it "
                    + "may still be storing data")
            return
        }
        guard let process else { return try explainDeath(record, userID: userID) }
        let isForced = flags.contains(.force)
        try awaitEnd(of: process, record, entry, isForced: isForced, timeout: timeout)
        try checkEnd(record, userID: userID)
    }

    /// How long an end may take before people are told what it may be waiting for.
    private static let patienceMilliseconds = 2_000

    private static func awaitEnd(
        of process: ProcessHandle, _ record: MountRecord, _ entry: MountEntry?, isForced: Bool,
        timeout: TimeSpan
    ) throws(CommandFailure) {
        let deadline = Deadline.after(milliseconds: timeout.milliseconds)
        let patience = min(patienceMilliseconds, timeout.milliseconds)
        if process.awaitEnd(until: .after(milliseconds: patience)) { return }
        let holders = try entry.map { (entry) throws(CommandFailure) in
            try MountNamespaces.holders(of: entry.device)
        }
        if let holders, !holders.isEmpty {
            Console.error(
                "\(record.mountPoint): unmounted here, but still mounted in the mount namespace of "
                    + "process \(holders.joined(separator: ", ")): waiting until that lets go of it"
            )
        }
        if process.awaitEnd(until: deadline) { return }
        guard isForced else {
            throw CommandFailure(
                "\(record.mountPoint): unmounted, but after \(timeout) process \(record.process) is "
                    + "still storing data or used by a program; it goes on by itself")
        }
        kill(process.id, SIGKILL)
        _ = process.awaitEnd(until: .after(milliseconds: 10_000))
        throw CommandFailure(
            "\(record.mountPoint): process \(record.process) did not end in \(timeout) and was "
                + "killed; what it had not stored is lost")
    }

    /// A record that outlives its process tells that something went wrong.
    private static func checkEnd(_ record: MountRecord, userID: uid_t?) throws(CommandFailure) {
        guard let left = try MountRecord.find(mountPoint: record.mountPoint, userID: userID),
            left.process == record.process
        else { return }
        MountRecord.remove(mountPoint: record.mountPoint, userID: userID)
        let reason = left.failure ?? "its process ended early"
        throw CommandFailure(
            "\(record.mountPoint): unmounted, but \(reason)"
                + (record.logFile.map { "; see \($0)" } ?? ""))
    }

    /// The mount was a dead one. A private server that its process left running is stopped.
    private static func explainDeath(
        _ record: MountRecord, userID: uid_t?
    ) throws(CommandFailure) {
        MountRecord.remove(mountPoint: record.mountPoint, userID: userID)
        Console.error(
            "\(record.mountPoint): the process behind it (\(record.process)) had died; what it had "
                + "not stored is lost" + (record.logFile.map { "; see \($0)" } ?? ""))
        // The store of another user is not ours to start and stop.
        guard (userID ?? geteuid()) == geteuid() else { return }
        let source = try SourceParser.parse(record.source)
        guard case .embedded(let directory) = source.place else { return }
        let server = try EmbeddedServer.acquire(
            directory: directory, mayCreate: false,
            logger: Logger(label: "apusfs") { _ in SwiftLogNoOpLogHandler() })
        try server.release()
    }
}
