import FileSystem
import Primitives
import VolumeStore

/// An open directory: the listing as this handle has seen it so far, page by page.
///
/// A cookie is a position in this listing, so it means the same however the directory changes: 1 stands
/// behind `.`, 2 behind `..`, n + 3 behind entry n. Entries that are there throughout are listed exactly
/// once; those that come or go meanwhile may or may not be.
final class OpenDirectory: Sendable {
    let state: InodeState
    let listing: Locked<DirectoryListing>
    /// A part of the listing is being fetched beside its readers.
    private let ahead = Monitor(false)
    /// A reader that needs that part waits for it so long, then fetches it itself: the piece may be waiting
    /// behind those of others for a server that is away.
    private static let patienceMilliseconds = 1_000

    init(state: InodeState) {
        self.state = state
        listing = Locked(DirectoryListing())
    }

    var isFetchingAhead: Bool { ahead.withLock { $0 } }

    /// False when a part is being fetched already.
    func beginFetchingAhead() -> Bool {
        ahead.change { isFetching in
            defer { isFetching = true }
            return !isFetching
        }
    }

    func endFetchingAhead() { ahead.change { $0 = false } }

    /// Waits for the part that is being fetched. False when there is none, or it does not come.
    func awaitFetchingAhead() -> Bool {
        guard isFetchingAhead else { return false }
        let deadline = Deadline.after(milliseconds: Self.patienceMilliseconds)
        let hasCome: Void? = ahead.wait(until: deadline) { $0 ? nil : () }
        return hasCome != nil
    }
}
