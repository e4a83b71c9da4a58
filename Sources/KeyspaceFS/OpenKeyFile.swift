import KeyValue
import Primitives

/// An open file.
final class OpenKeyFile: Sendable {
    enum Mode {
        case reading
        /// Through an edit, with or without O_APPEND.
        case editing(EditSession, appends: Bool)
        /// Each write is an APPEND of its own: nothing of others' can be lost.
        case appending
    }

    let inode: KeyInode
    let mode: Mode
    /// What is read as it was at one moment: the text of a list, set, sorted set or stream from the open on, a
    /// field from the first read on. Rank: a leaf.
    let contents: Locked<Bytes?>

    init(inode: KeyInode, mode: Mode, contents: Bytes? = nil) {
        self.inode = inode
        self.mode = mode
        self.contents = Locked(contents)
    }
}
