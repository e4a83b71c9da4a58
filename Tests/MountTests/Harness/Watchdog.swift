import Foundation
import Primitives

/// Ends the daemon of a mount when a test has taken too long: calls that wait for it then fail with ENOTCONN,
/// and the test ends, where a time limit of the test framework would wait for the call.
final class Watchdog: Sendable {
    /// How long a test may take to end once its mount is dead.
    private static let graceMilliseconds = 60_000

    private let isStopped = Monitor(false)
    private let pidPath: String

    init(pidPath: String) { self.pidPath = pidPath }

    func start(limitSeconds: Int) {
        let deadline = Deadline.after(milliseconds: limitSeconds * 1_000)
        Thread.detachNewThread { [self] in
            let wasStopped = isStopped.wait(until: deadline) { $0 ? true : nil } ?? false
            guard !wasStopped, let pid = try? String(contentsOfFile: pidPath, encoding: .utf8),
                let daemon = pid_t(pid.trimmingCharacters(in: .whitespacesAndNewlines))
            else { return }
            print("watchdog: a test took more than \(limitSeconds) s; ending daemon \(daemon)")
            kill(daemon, SIGKILL)
            let grace = Deadline.after(milliseconds: Self.graceMilliseconds)
            guard isStopped.wait(until: grace, for: { $0 ? true : nil }) == nil else { return }
            fatalError("a test waits for something that is not its mount; nothing else can end it")
        }
    }

    func stop() { isStopped.change { $0 = true } }
}
