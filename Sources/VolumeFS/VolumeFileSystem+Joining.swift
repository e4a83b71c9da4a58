import FileSystem
import Primitives

// Another mount joins, and waits until this one has nothing to itself.
extension VolumeFileSystem {
    private static let dropMilliseconds = 5_000

    /// This mount is not alone any more, and the others wait: what is only in memory is stored, and the
    /// kernel forgets which names do not exist.
    func prepareToShare() {
        for state in inodes.snapshot() where state.withFacts({ $0.isDirty }) {
            flushInBackground(state.id)
        }
        let gate = Gate()
        tellKernel { notifier in
            guard notifier.invalidateAllEntries() else { return gate.open() }
            notifier.afterInvalidations(of: Self.anyInode) { gate.open() }
        }
        gate.pass(until: .after(milliseconds: Self.dropMilliseconds))
    }

    /// The message about all entries travels on the lane of this one.
    private static let anyInode = InodeID(0)

    private final class Gate: Sendable {
        private let isOpen = Monitor(false)

        func open() { isOpen.change { $0 = true } }

        func pass(until deadline: Deadline) {
            let _: Void? = isOpen.wait(until: deadline) { $0 ? () : nil }
        }
    }
}
