import FileSystem
import Primitives
import VolumeStore

// For how long the kernel may believe what it is told.
extension VolumeFileSystem {
    /// While what others change is pushed, time limits only bound the harm of a mistake.
    private static let longSeconds = 60.0
    /// Where a message may find nothing to drop, because an answer is still on its way to the kernel.
    private static let shortSeconds = 1.0

    var entryTimeoutSeconds: Double {
        guard store.hearsChanges else { return 0 }
        if let chosen = options.entryTimeoutSeconds { return chosen }
        return canDropAllEntries ? Self.longSeconds : Self.shortSeconds
    }

    /// A message that drops attributes finds an inode that the kernel knows, and overtakes answers that are
    /// on their way (the kernel counts versions). An inode that it does not know yet is not found.
    /// What may be older than a message that came before is not to be kept.
    func attributeTimeoutSeconds(of state: InodeState, isKnown: Bool) -> Double {
        guard store.hearsChanges, state.withFacts({ $0.isFresh || $0.isRemoved }) else { return 0 }
        if let chosen = options.attributeTimeoutSeconds { return chosen }
        return isKnown || store.isAlone ? Self.longSeconds : Self.shortSeconds
    }

    /// That a name does not exist is believed only while nobody else can make it: an open has to find
    /// what another mount has closed, without any delay.
    public var negativeEntryTimeoutSeconds: Double {
        guard store.isAlone, canDropAllEntries else { return 0 }
        return entryTimeoutSeconds
    }

    private var canDropAllEntries: Bool {
        notifier.withLock { $0?.canInvalidateAllEntries ?? false }
    }
}
