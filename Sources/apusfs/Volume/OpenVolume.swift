import Codecs
import Glibc
import KeyValue
import Primitives
import VolumeStore

/// Finds a volume in an open store.
enum OpenVolume {
    static func name(_ text: String) throws(CommandFailure) -> VolumeName {
        guard let name = VolumeName(text) else {
            throw CommandFailure("'\(text)' is no name of a volume", status: .usage)
        }
        return name
    }

    /// The settings of the volume that a mount wants. A volume that is not there is made where nobody
    /// else could be using the store, else it is a failure.
    static func prepare(
        _ access: StoreAccess, _ settings: MountSettings
    ) throws(CommandFailure) -> VolumeSettings {
        let name = try name(settings.volume)
        do throws(VolumeError) {
            let found = try VolumeStore.readSettings(access.store, name: name)
            return try reconcile(found, settings, access)
        } catch {
            let isMade =
                switch access.source.place {
                case .memory: true
                case .embedded: !settings.isReadOnly
                case .tcp, .sentinels, .unixSocket: false
                }
            guard error == .notFormatted(name), isMade else {
                throw StoreFailure.describe(error, access.source)
            }
            return try format(access, settings, force: false)
        }
    }

    /// Makes a volume. Its root belongs to whoever makes it.
    static func format(
        _ access: StoreAccess, _ settings: MountSettings, force: Bool
    ) throws(CommandFailure) -> VolumeSettings {
        let blockSize = settings.blockSizeBytes.flatMap { BlockSize(bytes: $0) } ?? .standard
        let options = FormatOptions(
            name: try name(settings.volume), blockSize: blockSize, codec: settings.codec ?? .none,
            userID: geteuid(), groupID: getegid())
        do throws(VolumeError) {
            return try VolumeStore.format(access.store, options, force: force)
        } catch {
            throw StoreFailure.describe(error, access.source)
        }
    }

    /// What was asked for against what the volume has: the codec can change, the block size cannot.
    private static func reconcile(
        _ found: VolumeSettings, _ wanted: MountSettings, _ access: StoreAccess
    ) throws(VolumeError) -> VolumeSettings {
        guard let codec = wanted.codec, codec != found.codec, !wanted.isReadOnly else {
            return found
        }
        return try VolumeStore.setCodec(access.store, name: found.name, codec: codec)
    }

    /// A block size that was asked for and is not the volume's.
    static func requireBlockSize(
        _ found: VolumeSettings, _ wanted: MountSettings, _ source: Source
    ) throws(CommandFailure) {
        guard let bytes = wanted.blockSizeBytes, bytes != found.blockSize.bytes else { return }
        throw CommandFailure(
            "\(source): the blocks of volume '\(found.name)' have \(found.blockSize), and that is "
                + "fixed when it is formatted; leave --block-size out")
    }
}
