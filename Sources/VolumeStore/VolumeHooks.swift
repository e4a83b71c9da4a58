public import Primitives

/// What a mount wants to hear of its volume. Called from threads of the store's own.
public struct VolumeHooks: Sendable {
    /// What other mounts change, in order. The only call of the volume that it may make is
    /// `VolumeStore.claimOrphan(_:)`: messages wait meanwhile.
    public var onChange: @Sendable (RemoteChange) -> Void
    /// This mount is not alone any more. Others change nothing until this returns, so what is only in
    /// memory is stored here.
    public var beforeSharing: @Sendable () -> Void
    /// The session is gone: what was not stored until now must not be stored any more. Of these inodes
    /// programs held locks, which are lost.
    public var onFenced: @Sendable (_ locked: [InodeID]) -> Void
    /// A new session is there, after `onFenced`.
    public var onRegistered: @Sendable () -> Void
    /// The store was heard again after messages may have been lost. When it has lost changes that it had
    /// acknowledged, what was stored lately and is still held is to be stored again, and
    /// `onChange(.everything)` follows.
    public var onReturn: @Sendable (_ hasLost: Bool) -> Void
    /// The reaper has cleared what a cut of a file had left in these blocks: who has loaded one of them since
    /// the cut has loaded bytes that are not part of the file.
    public var onTailCleared: @Sendable (DataID, Range<UInt64>) -> Void
    /// How many files are open now, for people who look at the volume's sessions.
    public var openFileCount: @Sendable () -> Int

    public init(
        onChange: @escaping @Sendable (RemoteChange) -> Void,
        beforeSharing: @escaping @Sendable () -> Void = {},
        onFenced: @escaping @Sendable (_ locked: [InodeID]) -> Void = { _ in },
        onRegistered: @escaping @Sendable () -> Void = {},
        onReturn: @escaping @Sendable (_ hasLost: Bool) -> Void = { _ in },
        onTailCleared: @escaping @Sendable (DataID, Range<UInt64>) -> Void = { _, _ in },
        openFileCount: @escaping @Sendable () -> Int = { 0 }
    ) {
        self.onChange = onChange
        self.beforeSharing = beforeSharing
        self.onFenced = onFenced
        self.onRegistered = onRegistered
        self.onReturn = onReturn
        self.onTailCleared = onTailCleared
        self.openFileCount = openFileCount
    }
}
