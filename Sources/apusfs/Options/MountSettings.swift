import Codecs
import FuseServer
import Glibc

/// Everything that can be set about one mount, with the values that hold when nothing is said.
///
/// The mount command, `-o` and fstab all fill it through `MountOption.all`; the process in the
/// background receives it as JSON.
struct MountSettings: Equatable, Sendable, Codable {
    enum AccessTimes: String, Sendable, Codable {
        case noatime, relatime, strictatime
    }

    var volume = MountSettings.standardVolume
    /// For a new volume and, from then on, for new blocks; nil leaves what the volume has.
    var codec: Codec?
    /// For a new volume; nil leaves what the volume has.
    var blockSizeBytes: Int?

    var cacheBytes = 512 << 20
    /// Workers that serve requests of the kernel.
    var threads = 8
    /// Connections to the server for each kind of traffic.
    var connections = 4
    /// How requests come from the kernel.
    var transport = TransportChoice.auto
    var splice = false
    var cloneDescriptor = false

    /// File handles stay good after the kernel has forgotten their inodes.
    var exportsHandles = false
    /// Locks that no other mount sees: the kernel keeps them itself.
    var localLocks: LockKinds = []
    var isReadOnly = false
    var accessTimes = AccessTimes.relatime
    /// What root mounts is for everybody, as with any filesystem; what a user mounts is for that user.
    var allowOther = geteuid() == 0
    /// Nil: for long, as long as changes of other mounts are heard.
    var attributeTimeout: TimeSpan?
    var entryTimeout: TimeSpan?
    var flushInterval = TimeSpan(milliseconds: 5_000)
    var ioTimeout = TimeSpan(milliseconds: 30_000)

    /// Replicas that an fsync or close waits for.
    var fsyncReplicas = 0
    /// Refuse a server that may lose what was synced.
    var isStrict = false

    /// Mount over a directory that is not empty, which hides what it holds.
    var allowNonEmpty = false

    var passwordFile: String?
    var tls = TLSSettings()
    var logFile: String?
    var pidFile: String?
    var isForeground = false
    var isDebug = false

    /// Options for libfuse and the kernel, handed on as they are: `nosuid`, `fsname=...`.
    var fuseOptions: [String] = []

    /// The mount shows the keys of a database, not a volume.
    var keys: KeysSettings?
    /// Whom the files of a keyspace belong to.
    var ownerID = geteuid()
    var ownerGroupID = getegid()

    static let standardVolume = "apusfs"

    static let cacheRange = (4 << 20)...(1 << 44)
    static let threadRange = 1...256
    static let replicaRange = 0...64
    static let connectionRange = 1...64
}
