import KeyValue
import VolumeStore

/// What went wrong with a store or a volume, in one line that says how to mend it.
enum StoreFailure {
    static func describe(_ error: StoreError, _ source: Source) -> CommandFailure {
        switch error {
        case .unavailable(let reason):
            CommandFailure(
                "\(source): no answer: \(withoutAddress(reason)); is the server running there?")
        case .notAuthorized(let reason): notAuthorized(reason, source)
        case .outOfMemory:
            CommandFailure("\(source): the server is full; raise its maxmemory or make room")
        case .readOnly:
            CommandFailure(
                "\(source): the server is a replica and takes no changes; name the primary, or "
                    + "mount with --read-only")
        case .fenced: CommandFailure("\(source): the session was ended by another mount; try again")
        case .wrongKind:
            CommandFailure(
                "\(source): a key of that volume's name holds something else, or is damaged: "
                    + "'apusfs check' tells; or choose another --volume or database")
        case .protocolViolation(let reason): CommandFailure("\(source): \(reason)")
        case .closed: CommandFailure("\(source): closed")
        }
    }

    /// The server's own text names the commands of its protocol, which help nobody here.
    private static func notAuthorized(_ reason: String, _ source: Source) -> CommandFailure {
        let hint = "give it with --password-file or APUSFS_REDIS_PASSWORD"
        switch reason.prefix(while: { $0 != " " }) {
        case "NOAUTH": return CommandFailure("\(source): the server wants a password: \(hint)")
        case "WRONGPASS":
            return CommandFailure("\(source): wrong user or password: \(hint)")
        default:
            return CommandFailure(
                "\(source): the user may not do what a volume needs: \(reason)")
        }
    }

    /// `redis://h:1/0: Connection refused` without the address, which stands in the message already.
    private static func withoutAddress(_ reason: String) -> String {
        guard
            [
                "redis://", "redis-sentinel://", "rediss://", "rediss-sentinel://", "unix://",
            ].contains(where: { reason.hasPrefix($0) }),
            let end = reason.firstRange(of: ": ")
        else { return reason }
        return String(reason[end.upperBound...])
    }

    static func describe(_ error: VolumeError, _ source: Source) -> CommandFailure {
        switch error {
        case .notFormatted(let name):
            CommandFailure(
                "\(source): there is no volume '\(name)'; make it with: apusfs format \(source)"
                    + (name.text == MountSettings.standardVolume ? "" : " --volume \(name)"))
        case .alreadyFormatted(let name):
            CommandFailure(
                "\(source): there is a volume '\(name)' already; --force erases it and all its files"
            )
        case .newerFormat(let found, let supported):
            CommandFailure(
                "\(source): the volume has format \(found), and this apusfs knows formats up to "
                    + "\(supported); install a newer apusfs")
        case .damaged(let what):
            CommandFailure(
                "\(source): the volume's superblock is damaged: \(what); nothing was changed. "
                    + "'apusfs check' says what can be mended")
        case .inUse(let name, let sessions):
            CommandFailure(
                "\(source): \(sessions) mount\(sessions == 1 ? "" : "s") of volume '\(name)' must "
                    + "be unmounted first; 'apusfs status \(source) --volume \(name)' lists them")
        case .store(let error): describe(error, source)
        }
    }
}
