import Foundation
import Primitives
import TestSupport

/// How slow a store is: calls and answers are on their way for a while, the longest those of the threads that
/// work in the background, as on a machine that has much else to do.
final class StoreDelays: Sendable {
    private static let usualMicroseconds = 400
    private static let longMicroseconds = 8_000
    /// The reaper gathers for 50 ms before it begins.
    private static let reaperMicroseconds = 60_000

    private let random: Locked<SeededRandom>

    init(seed: UInt64) { random = Locked(SeededRandom(seed: seed)) }

    /// Half of the calls are not held up, one in eight for long.
    func pause() {
        let isReaper = Self.threadName() == "apusfs-reaper"
        let pause = random.withLock { random in
            let limit =
                switch random.below(8) {
                case 0: isReaper ? Self.reaperMicroseconds : Self.longMicroseconds
                case 1...3: isReaper ? Self.longMicroseconds : Self.usualMicroseconds
                default: 1
                }
            return random.below(limit)
        }
        if pause > 0 { usleep(UInt32(pause)) }
    }

    /// The name of the calling thread.
    static func threadName() -> String? {
        let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        return name?.trimmingCharacters(in: .newlines)
    }
}
