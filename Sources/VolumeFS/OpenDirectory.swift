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

    init(state: InodeState) {
        self.state = state
        listing = Locked(DirectoryListing())
    }
}
