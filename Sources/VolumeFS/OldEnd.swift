/// A size that a file had: what is cached from there on may be zeros, or show what was cut off, where the file
/// goes on by now.
struct OldEnd: Equatable {
    var size: UInt64
    /// Tells it from one that was noted while somebody acted upon this one.
    fileprivate var number: UInt64

    /// Those of one cache, or of the kernel's.
    struct Notes {
        private(set) var pending: OldEnd?
        private var count: UInt64 = 0

        /// The file is longer than `size` from now on.
        mutating func note(_ size: UInt64) {
            count &+= 1
            pending = OldEnd(size: min(pending?.size ?? size, size), number: count)
        }

        /// What is cached from there on is gone.
        mutating func settle(_ end: OldEnd) {
            if pending == end { pending = nil }
        }
    }
}
