import CLinux
import Glibc
import Primitives

/// A lock on a file between processes (flock(2)). The kernel lets go of it when the process ends,
/// however it ends.
final class FileLock: Sendable {
    enum Mode: Sendable { case shared, exclusive }

    private let descriptor: OwnedDescriptor

    /// Opens the file, which is made if it is not there, and takes no lock yet.
    init(path: String) throws(CommandFailure) {
        do throws(Errno) {
            descriptor = try .open(path, O_RDWR | O_CREAT)
        } catch {
            throw CommandFailure(path, "cannot open the lock file", errno: error.rawValue)
        }
    }

    /// For looking whether somebody holds the lock; nil when there is no such file.
    init?(existing path: String) {
        do throws(Errno) {
            descriptor = try .open(path, O_RDONLY | O_NONBLOCK)
        } catch {
            return nil
        }
    }

    /// Whether the file has not been removed meanwhile.
    var isLinked: Bool {
        var information = stat()
        return fstat(descriptor.raw, &information) == 0 && information.st_nlink > 0
    }

    /// For handing the lock on to another process, which then holds it, too.
    var raw: Int32 { descriptor.raw }

    /// Takes the lock, or changes its mode, if that does not take waiting.
    func attempt(_ mode: Mode) -> Bool {
        apusfs_lock_file(descriptor.raw, mode == .exclusive, false) == 0
    }

    /// Takes the lock; false once the deadline has passed.
    func take(_ mode: Mode, until deadline: Deadline) -> Bool {
        while !attempt(mode) {
            if deadline.hasPassed { return false }
            Pause.brief()
        }
        return true
    }

    func release() { _ = apusfs_unlock_file(descriptor.raw) }
}

/// The wait between two looks at something that announces no change.
enum Pause {
    static let milliseconds: Int32 = 10

    static func brief() { poll(nil, 0, milliseconds) }
}
