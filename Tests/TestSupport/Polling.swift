import Foundation
import Primitives

/// Waits for something that announces no change.
public enum Polling {
    /// Asks until `holds` says yes; false once the time limit has passed.
    public static func wait(
        limitSeconds: Int = 10, _ holds: () throws -> Bool
    ) rethrows -> Bool {
        let deadline = Deadline.after(milliseconds: limitSeconds * 1_000)
        while try !holds() {
            if deadline.hasPassed { return false }
            pause()
        }
        return true
    }

    /// The interval between two looks at a condition, not a guess of how long something takes.
    static func pause() { usleep(2_000) }
}
