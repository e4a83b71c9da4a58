/// Kinds of advisory locks, as the kernel hands them to a filesystem or keeps them itself.
public struct LockKinds: OptionSet, Sendable, Hashable, Codable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Of whole files: flock(2).
    public static let flock = LockKinds(rawValue: 1)
    /// Of byte ranges: fcntl(2) with F_SETLK, F_OFD_SETLK, lockf(3).
    public static let posix = LockKinds(rawValue: 2)
    public static let all: LockKinds = [.flock, .posix]
}
