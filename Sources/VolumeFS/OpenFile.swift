import Cache
import FileSystem
import Primitives

/// An open file: what one `open` or `create` of the kernel made.
final class OpenFile: Sendable {
    let state: InodeState
    let options: OpenOptions
    let readAhead = Locked(ReadAhead())
    /// Who has locked records through this handle and has not closed a descriptor of it since: owners
    /// of open-file-description locks, which end with the handle.
    let lockOwners = Locked<Set<UInt64>>([])

    /// Of `Facts.losses`, those that this handle's programs were told of.
    let toldLosses: Locked<UInt64>

    init(state: InodeState, options: OpenOptions) {
        self.state = state
        self.options = options
        toldLosses = Locked(state.withFacts { $0.losses })
    }
}
