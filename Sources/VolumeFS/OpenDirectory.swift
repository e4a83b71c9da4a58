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
    private let isFetchingAhead = Monitor(false)

    init(state: InodeState) {
        self.state = state
        listing = Locked(DirectoryListing())
    }

    /// False when a part is being fetched already.
    func beginFetchingAhead() -> Bool {
        isFetchingAhead.change { isFetching in
            defer { isFetching = true }
            return !isFetching
        }
    }

    func endFetchingAhead() { isFetchingAhead.change { $0 = false } }

    /// Waits for the part that is being fetched. False when there is none.
    func awaitFetchingAhead() -> Bool {
        guard isFetchingAhead.withLock({ $0 }) else { return false }
        let _: Void? = isFetchingAhead.wait { $0 ? nil : () }
        return true
    }
}
