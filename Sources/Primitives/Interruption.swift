/// Whether the program for which this thread works was killed, so that it need not wait any longer. What
/// serves programs says how to find out; a thread that serves none is never interrupted.
public enum Interruption {
    /// How long a wait lasts before it asks: finding out costs a look at /proc.
    public static let intervalMilliseconds = 50

    private static let probe = Locked<(@Sendable () -> Bool)?>(nil)

    public static func install(_ isInterrupted: @escaping @Sendable () -> Bool) {
        probe.withLock { $0 = isInterrupted }
    }

    public static var isRequested: Bool { probe.withLock { $0 }?() ?? false }
}
