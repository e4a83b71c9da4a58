public import Primitives

extension DirectoryEntry {
    /// The cookie behind `.` and `..`, with which every listing begins.
    public static let cookieBehindDots: UInt64 = 2

    /// Gives the sink `.` and `..`, as far as they stand behind `cookie`; `.full` when it had no room for one.
    public static func deliverDots(
        of inode: InodeID, in parent: InodeID, from cookie: UInt64,
        _ sink: (DirectoryEntry) -> DirectorySinkAnswer
    ) -> DirectorySinkAnswer {
        let names: [(StaticString, InodeID)] = [(".", inode), ("..", parent)]
        for (index, (name, inode)) in names.enumerated() where UInt64(index) >= cookie {
            // SAFETY: a static string lives as long as the program.
            let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            let entry = DirectoryEntry(
                name: FileName(bytes), inode: inode, kind: .directory, cookie: UInt64(index) + 1,
                answer: nil)
            guard sink(entry) == .taken else { return .full }
        }
        return .taken
    }
}
