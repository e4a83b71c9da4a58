public import KeyValue

/// Why a volume could not be formatted, opened or administered: for people, at the command line.
public enum VolumeError: Error, Equatable, Sendable {
    case notFormatted(VolumeName)
    case alreadyFormatted(VolumeName)
    /// The volume was formatted by a later release.
    case newerFormat(found: Int, supported: Int)
    /// The superblock cannot be right; says what of it.
    case damaged(String)
    /// Mounts use the volume: what was asked for needs all of them gone.
    case inUse(VolumeName, sessions: Int)
    case store(StoreError)
}

/// A stored record that cannot be right. Never leaves this module: toward programs it is `EIO`, with one
/// log line that has this text.
struct FormatError: Error, Equatable {
    let what: String

    init(_ what: String) { self.what = what }
}
