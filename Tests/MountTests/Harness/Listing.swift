import Glibc
import Primitives

/// Reading directories.
enum Listing {
    struct Entry: Equatable {
        let name: String
        let inode: UInt
        /// `d_type`.
        let kind: UInt8
    }

    /// Every entry, `.` and `..` too, in the order in which they come.
    static func entries(_ path: String) throws(Errno) -> [Entry] {
        try Stream(path).rest()
    }

    /// The names in order.
    static func names(_ path: String) throws(Errno) -> [String] {
        try entries(path).map(\.name).sorted()
    }

    /// `d_type` of each name.
    static func kinds(_ path: String) throws(Errno) -> [String: UInt8] {
        var kinds: [String: UInt8] = [:]
        for entry in try entries(path) { kinds[entry.name] = entry.kind }
        return kinds
    }

    /// An open directory.
    final class Stream {
        // SAFETY: from opendir until closedir in deinit.
        private let stream: OpaquePointer

        init(_ path: String) throws(Errno) {
            guard let stream = opendir(path) else { throw Errno(rawValue: errno) }
            self.stream = stream
        }

        deinit { closedir(stream) }

        /// The next entry; `nil` at the end.
        func next() throws(Errno) -> Entry? {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw Errno(rawValue: errno) }
                return nil
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            return Entry(name: name, inode: entry.pointee.d_ino, kind: entry.pointee.d_type)
        }

        func rest() throws(Errno) -> [Entry] {
            var entries: [Entry] = []
            while let entry = try next() { entries.append(entry) }
            return entries
        }

        /// telldir(3): where the next entry will be read.
        var position: Int { telldir(stream) }

        func seek(_ position: Int) { seekdir(stream, position) }

        func rewind() { rewinddir(stream) }

        func sync() throws(Errno) { try SystemCall.check(fsync(dirfd(stream))) }
    }
}
