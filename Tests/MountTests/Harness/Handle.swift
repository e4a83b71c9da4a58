import CLinux
import Glibc
import Primitives

/// A file handle of name_to_handle_at(2).
struct Handle {
    private let bytes: [UInt8]

    init(_ path: String) throws(Errno) {
        var bytes = [UInt8](repeating: 0, count: Int(APUSFS_HANDLE_BYTES))
        try SystemCall.checkError(apusfs_file_handle(path, &bytes))
        self.bytes = bytes
    }

    /// open_by_handle_at(2), below any path of its filesystem.
    func open(at path: String, _ flags: Int32) throws(Errno) -> Descriptor {
        let mount = try Descriptor(path, O_RDONLY | O_DIRECTORY)
        return Descriptor(
            owning: Int32(
                try SystemCall.checkResult(Int(apusfs_open_handle(mount.raw, bytes, flags)))))
    }
}
