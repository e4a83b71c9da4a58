import Primitives

/// An open directory: how far its listing has come.
final class OpenKeyDirectory: Sendable {
    struct State {
        var listing: KeyListing
        var window: ListingWindow
        var isComplete = false
        /// Where the last request began: what the kernel may ask for again.
        var lastStart = 0
    }

    let inode: KeyInode
    /// Rank 1, outermost: held across round trips to the store.
    let state: Monitor<State>

    init(inode: KeyInode, _ state: State) {
        self.inode = inode
        self.state = Monitor(state)
    }
}
