public import Codecs
public import Primitives

/// The extended attribute that says what a file's blocks are compressed with: `none`, `lz4`, `zlib` or
/// `zlib:1` to `zlib:9`. It is part of the inode's record, so knowing it costs no trip; a directory gives its
/// own to files and directories that are made in it.
public enum CodecAttribute {
    public static let name = [UInt8]("user.apusfs.codec".utf8)

    /// EINVAL for what is no codec.
    public static func parse(_ value: UnsafeRawBufferPointer) throws(Errno) -> Codec {
        guard let codec = String(validating: value, as: UTF8.self).flatMap({ Codec(name: $0) })
        else { throw .invalid }
        return codec
    }

    public static func value(_ codec: Codec) -> [UInt8] { [UInt8](codec.name.utf8) }
}
