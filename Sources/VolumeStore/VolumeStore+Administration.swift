public import Codecs
import FileSystem
public import KeyValue
public import Logging
import Primitives

extension VolumeStore {
    /// Makes a volume: its superblock and an empty root directory, in one batch.
    ///
    /// Over an existing volume only with `force`, which removes that volume's keys first: it walks the
    /// old directories from the root, the orphans and the garbage list, so that no block stays behind.
    /// A volume in use by other sessions is refused even then, unless their leases are over.
    public static func format(
        _ store: any KeyValueStore, _ options: FormatOptions, force: Bool,
        logger: Logger = Logger(label: "apusfs.format")
    ) throws(VolumeError) -> VolumeSettings {
        let schema = Schema(options.name)
        let isThere = try translating { () throws(StoreError) in
            try store.read([.existence(keys: [schema.volume])]) == [.existing([true])]
        }
        if isThere {
            guard force else {
                // A newer volume is named as such, so that nobody thinks of forcing lightly.
                _ = try readSettings(store, name: options.name)
                throw .alreadyFormatted(options.name)
            }
            try VolumeEraser(store: store, name: options.name).erase()
        }
        let settings = VolumeSettings(
            name: options.name, uuid: VolumeUUID.make(),
            formatVersion: VolumeSettings.supportedFormat, blockSize: options.blockSize,
            codec: options.codec, compressionThresholdBytes: options.compressionThresholdBytes,
            createdAt: .now, epoch: 0)
        let outcome = try translating { () throws(StoreError) in
            try store.commit(creation(of: settings, options, schema))
        }
        guard case .committed = outcome else { throw .alreadyFormatted(options.name) }
        return settings
    }

    private static func creation(
        of settings: VolumeSettings, _ options: FormatOptions, _ schema: Schema
    ) -> Batch {
        let root = InodeRecord(
            id: .root, kind: .directory, permissions: options.rootPermissions & 0o7777,
            userID: options.userID, groupID: options.groupID, linkCount: 2,
            accessTime: settings.createdAt, modificationTime: settings.createdAt,
            changeTime: settings.createdAt, parent: .root)
        let counters = [
            Pair(Field.nextID, Bytes(decimal: InodeID.root.rawValue)),
            Pair(Field.inodes, Field.one),
        ]
        return Batch(
            conditions: [.keyAbsent(schema.volume), .keyAbsent(schema.inode(.root))],
            mutations: [
                .setFields(key: schema.volume, settings.storedFields + counters),
                .setFields(key: schema.inode(.root), root.storedFields),
            ])
    }

    /// Reads and judges the superblock and that there is a root directory; changes nothing.
    public static func readSettings(
        _ store: any KeyValueStore, name: VolumeName
    ) throws(VolumeError) -> VolumeSettings {
        let schema = Schema(name)
        let answers: [ReadAnswer]
        do throws(StoreError) {
            answers = try store.read([
                .fields(key: schema.volume, VolumeSettings.fields),
                .fields(key: schema.inode(.root), [Field.mode]),
            ])
        } catch {
            if error == .wrongKind { throw .damaged("{\(name)} or {\(name)}i1 is no hash") }
            throw .store(error)
        }
        guard answers.count == 2, case .values(let values) = answers[0],
            values.count == VolumeSettings.fields.count, case .values(let root) = answers[1],
            root.count == 1
        else { throw .store(.protocolViolation("unexpected answer about a volume")) }
        let settings = try VolumeSettings(parsing: values, name: name)
        guard let mode = root[0], let bits = UInt64(decimal: mode).flatMap({ UInt32(exactly: $0) }),
            FileKind(mode: bits) == .directory
        else { throw .damaged("{\(name)}i1 is no directory") }
        return settings
    }

    /// Changes how blocks are compressed that are stored by mounts from now on.
    public static func setCodec(
        _ store: any KeyValueStore, name: VolumeName, codec: Codec
    ) throws(VolumeError) -> VolumeSettings {
        var settings = try readSettings(store, name: name)
        settings.codec = codec
        let schema = Schema(name)
        let outcome = try translating { () throws(StoreError) in
            try store.commit(
                Batch(
                    conditions: [
                        .fieldEquals(
                            key: schema.volume, field: Field.uuid, value: Bytes(settings.uuid.utf8))
                    ],
                    mutations: [
                        .setFields(
                            key: schema.volume, [Pair(Field.codec, Bytes(codec.name.utf8))])
                    ]))
        }
        guard case .committed = outcome else { throw .notFormatted(name) }
        return settings
    }

    /// The sessions of a volume that is not mounted here.
    public static func sessions(
        _ store: any KeyValueStore, name: VolumeName
    ) throws(VolumeError) -> [SessionReport] {
        try translating { () throws(StoreError) in try sessions(store, Schema(name)) }
    }

    static func translating<Result>(
        _ body: () throws(StoreError) -> Result
    ) throws(VolumeError) -> Result {
        do throws(StoreError) {
            return try body()
        } catch {
            throw .store(error)
        }
    }
}
