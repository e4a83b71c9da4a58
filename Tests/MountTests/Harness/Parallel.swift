import Primitives
import TestSupport
import Testing

/// Runs `body` for 0 to `count` - 1, each in a thread of its own, and waits for all. What one throws is an
/// issue of the test.
func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let threads = (0..<count).map { number in
        TestThread(name: "test \(number)") {
            do {
                try body(number)
            } catch {
                Issue.record("thread \(number): \(error)")
            }
        }
    }
    for thread in threads { thread.join() }
}
