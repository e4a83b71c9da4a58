public import Codecs
import KeyValue
public import Primitives

/// What a volume was formatted with.
public struct VolumeSettings: Sendable, Equatable {
    /// The format that this release reads and writes.
    public static let supportedFormat = 1
    public static let standardThresholdBytes = 1_024

    public var name: VolumeName
    /// 36 characters, lower case, with hyphens.
    public var uuid: String
    public var formatVersion: Int
    public var blockSize: BlockSize
    /// For blocks stored from now on; every block says what it was compressed with.
    public var codec: Codec
    /// Blocks with fewer bytes stay raw.
    public var compressionThresholdBytes: Int
    public var createdAt: Timestamp
    /// 0 until snapshots exist.
    public var epoch: UInt64

    init(
        name: VolumeName, uuid: String, formatVersion: Int, blockSize: BlockSize, codec: Codec,
        compressionThresholdBytes: Int, createdAt: Timestamp, epoch: UInt64
    ) {
        self.name = name
        self.uuid = uuid
        self.formatVersion = formatVersion
        self.blockSize = blockSize
        self.codec = codec
        self.compressionThresholdBytes = compressionThresholdBytes
        self.createdAt = createdAt
        self.epoch = epoch
    }

    /// What the volume's hash holds in this order, for `init(parsing:name:)`.
    static let fields = [
        Field.format, Field.uuid, Field.blockSize, Field.codec, Field.threshold, Field.created,
        Field.epoch,
    ]

    /// Judges the values of `fields`. A missing format field means that there is no volume, provided
    /// that nothing else is there either.
    init(parsing values: [Bytes?], name: VolumeName) throws(VolumeError) {
        precondition(values.count == Self.fields.count, "a value for each field of the superblock")
        guard let format = values[0] else {
            guard values.allSatisfy({ $0 == nil }) else { throw .damaged("format is missing") }
            throw .notFormatted(name)
        }
        guard let version = UInt64(decimal: format), (1...1_000_000).contains(version) else {
            throw .damaged("format is no version")
        }
        guard version <= UInt64(Self.supportedFormat) else {
            throw .newerFormat(found: Int(version), supported: Self.supportedFormat)
        }
        guard let uuid = values[1].flatMap({ String(validating: $0, as: UTF8.self) }),
            VolumeUUID.isValid(uuid)
        else { throw .damaged("uuid is no UUID") }
        guard let block = values[2].flatMap({ UInt64(decimal: $0) }),
            let blockSize = BlockSize(bytes: Int(clamping: block))
        else { throw .damaged("block is no block size") }
        guard
            let codec = values[3].flatMap({ String(validating: $0, as: UTF8.self) })
                .flatMap({ Codec(name: $0) })
        else { throw .damaged("codec is no codec") }
        guard let threshold = values[4].flatMap({ UInt64(decimal: $0) }),
            threshold <= UInt64(BlockSize.allowedBytes.upperBound)
        else { throw .damaged("threshold is no number of bytes") }
        guard let created = values[5].flatMap({ Int64(decimal: $0) }) else {
            throw .damaged("created is no time")
        }
        guard let epoch = values[6].flatMap({ UInt64(decimal: $0) }), epoch < RecordLimits.epoch
        else { throw .damaged("epoch is no epoch") }
        self.init(
            name: name, uuid: uuid, formatVersion: Int(version), blockSize: blockSize,
            codec: codec, compressionThresholdBytes: Int(threshold),
            createdAt: Timestamp(nanoseconds: created), epoch: epoch)
    }

    var storedFields: [Pair] {
        [
            Pair(Field.format, Bytes(decimal: UInt64(formatVersion))),
            Pair(Field.uuid, Bytes(uuid.utf8)),
            Pair(Field.blockSize, Bytes(decimal: UInt64(blockSize.bytes))),
            Pair(Field.codec, Bytes(codec.name.utf8)),
            Pair(Field.threshold, Bytes(decimal: UInt64(compressionThresholdBytes))),
            Pair(Field.created, Bytes(decimal: createdAt.nanoseconds)),
            Pair(Field.epoch, Bytes(decimal: epoch)),
        ]
    }
}

/// What a volume is to be formatted with.
public struct FormatOptions: Sendable {
    public var name: VolumeName
    public var blockSize: BlockSize
    public var codec: Codec
    public var compressionThresholdBytes: Int
    /// Owner of the root directory.
    public var userID: UInt32
    public var groupID: UInt32
    /// Permissions of the root directory.
    public var rootPermissions: UInt32

    public init(
        name: VolumeName, blockSize: BlockSize = .standard, codec: Codec = .none,
        compressionThresholdBytes: Int = VolumeSettings.standardThresholdBytes,
        userID: UInt32 = 0, groupID: UInt32 = 0, rootPermissions: UInt32 = 0o755
    ) {
        self.name = name
        self.blockSize = blockSize
        self.codec = codec
        self.compressionThresholdBytes = compressionThresholdBytes
        self.userID = userID
        self.groupID = groupID
        self.rootPermissions = rootPermissions
    }
}

/// Random UUIDs (RFC 9562, version 4) without Foundation.
enum VolumeUUID {
    static func make() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        var text = ""
        for (position, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(position) { text += "-" }
            let digits = String(byte, radix: 16)
            text += digits.count == 1 ? "0" + digits : digits
        }
        return text
    }

    static func isValid(_ text: String) -> Bool {
        let characters = Array(text.utf8)
        guard characters.count == 36 else { return false }
        return characters.enumerated().allSatisfy { position, byte in
            switch position {
            case 8, 13, 18, 23: byte == UInt8(ascii: "-")
            default:
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
        }
    }
}
