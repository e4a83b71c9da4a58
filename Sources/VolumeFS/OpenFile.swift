import Cache
import FileSystem
import Primitives

/// An open file: what one `open` or `create` of the kernel made.
final class OpenFile: Sendable {
    let state: InodeState
    let options: OpenOptions
    /// What is written through it does not pass through the kernel's pages (FOPEN_DIRECT_IO).
    let isDirect: Bool
    let readAhead = Locked(ReadAhead())
    /// Who has locked records through this handle and has not closed a descriptor of it since: owners
    /// of open-file-description locks, which end with the handle.
    let lockOwners = Locked<Set<UInt64>>([])

    /// Of `Facts.losses`, those that this handle's programs were told of.
    let toldLosses: Locked<UInt64>

    init(state: InodeState, options: OpenOptions, isDirect: Bool) {
        self.state = state
        self.options = options
        self.isDirect = isDirect
        toldLosses = Locked(state.withFacts { $0.losses })
    }
}
