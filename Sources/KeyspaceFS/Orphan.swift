import KeyValue
import Primitives

/// Contents that have no name in Redis any more.
final class Orphan: Sendable {
    /// Rank: a leaf.
    let contents: Locked<PendingEdit>

    init(_ bytes: Bytes) {
        var edit = PendingEdit(storedLength: 0)
        edit.write(bytes, at: 0)
        contents = Locked(edit)
    }
}
