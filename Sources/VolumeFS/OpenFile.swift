import Cache
import FileSystem
import Primitives

/// An open file: what one `open` or `create` of the kernel made.
final class OpenFile: Sendable {
    let state: InodeState
    let options: OpenOptions
    let readAhead = Locked(ReadAhead())

    init(state: InodeState, options: OpenOptions) {
        self.state = state
        self.options = options
    }
}
