import FileSystem
import Primitives

/// A file or directory that the kernel knows. It stays the same through a rename.
final class KeyInode: Sendable {
    struct State: Sendable {
        var place: Place
        /// Open files, by which an unlinked one is kept.
        var openCount = 0
        /// The name was taken away here: whatever has the place now is another file.
        var isGone = false
        /// The contents of a file that was unlinked here while it was open.
        var orphan: Orphan?
        /// The size of the text of a list, set, sorted set or stream when it was last read, for those that are
        /// not counted before; 0 when it was not read since it was changed.
        var renderedBytes: UInt64 = 0
    }

    let id: InodeID
    /// Rank: below every edit; held for no call.
    private let state: Locked<State>

    init(id: InodeID, place: Place) {
        self.id = id
        state = Locked(State(place: place))
    }

    var place: Place { state.withLock { $0.place } }

    /// Where it is, unless its name was taken away.
    var livingPlace: Place? { state.withLock { $0.isGone ? nil : $0.place } }

    func withState<Result>(_ body: (inout State) -> Result) -> Result { state.withLock(body) }
}
