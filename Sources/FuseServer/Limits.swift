import FileSystem
import Glibc
import Primitives

/// The limits of POSIX and Linux on names, targets and extended attributes, checked before a filesystem
/// is called. Pure.
enum Limits {
    /// PATH_MAX without the NUL.
    static let targetBytes = 4_095
    /// XATTR_NAME_MAX
    static let attributeNameBytes = 255
    /// XATTR_SIZE_MAX and XATTR_LIST_MAX
    static let attributeValueBytes = 65_536

    /// A name of a directory's entry: ENAMETOOLONG (POSIX, "Error Numbers").
    static func entryName(_ name: UnsafePointer<CChar>?) throws(Errno) -> FileName {
        guard let name = bytes(name) else { throw .invalid }
        guard name.count <= FileName.maximumByteCount else { throw .nameTooLong }
        return FileName(name)
    }

    /// The target of a symbolic link: ENAMETOOLONG (symlink(2)).
    static func target(_ target: UnsafePointer<CChar>?) throws(Errno) -> FileName {
        guard let target = bytes(target) else { throw .invalid }
        guard target.count <= targetBytes else { throw .nameTooLong }
        return FileName(target)
    }

    /// The name of an extended attribute: ERANGE (xattr(7)).
    static func attributeName(_ name: UnsafePointer<CChar>?) throws(Errno) -> FileName {
        guard let name = bytes(name) else { throw .invalid }
        guard name.count <= attributeNameBytes else { throw .outOfRange }
        return FileName(name)
    }

    /// Whether a value or list of `count` bytes goes to a caller that has room for `room` bytes: with room
    /// for none it asks for the length (getxattr(2), listxattr(2)).
    static func asksForLength(count: Int, room: Int) throws(Errno) -> Bool {
        guard count <= attributeValueBytes else { throw .argumentListTooLong }
        if room == 0 { return true }
        guard count <= room else { throw .outOfRange }
        return false
    }

    /// setxattr(2)'s flags.
    static func setXattrMode(_ flags: Int32) throws(Errno) -> SetXattrMode {
        switch flags {
        case 0: .createOrReplace
        case 1: .create
        case 2: .replace
        default: throw .invalid
        }
    }

    /// renameat2(2)'s flags.
    static func renameFlags(_ flags: UInt32) throws(Errno) -> RenameFlags {
        let known: RenameFlags = [.noReplace, .exchange, .whiteout]
        let wanted = RenameFlags(rawValue: flags)
        guard wanted.isSubset(of: known) else { throw .invalid }
        return wanted
    }

    // SAFETY: libfuse hands over NUL-terminated strings inside the request.
    private static func bytes(_ string: UnsafePointer<CChar>?) -> UnsafeRawBufferPointer? {
        string.map { UnsafeRawBufferPointer(start: $0, count: strlen($0)) }
    }
}
