import Foundation
import Primitives

/// Random bytes for parsers of what a store says: a seed repeats them, and is printed.
/// APUSFS_TEST_FUZZ_SECONDS says for how long each parser is tried, APUSFS_TEST_SEED with which seed.
public struct Fuzz {
    private var random: SeededRandom
    public let seed: UInt64

    private static let seconds = environment("APUSFS_TEST_FUZZ_SECONDS").flatMap { Int($0) } ?? 2

    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name]
    }

    /// Calls `body` again and again until the time is over; how often.
    @discardableResult
    public static func run(_ what: String, _ body: (inout Fuzz) throws -> Void) rethrows -> Int {
        let seed = environment("APUSFS_TEST_SEED").flatMap { UInt64($0) } ?? .random(in: 0 ... .max)
        // Before it begins: whatever ends the process, the seed is known.
        print("fuzz: \(what), APUSFS_TEST_SEED=\(seed)")
        var fuzz = Fuzz(random: SeededRandom(seed: seed), seed: seed)
        let end = Deadline.after(milliseconds: seconds * 1_000)
        var count = 0
        while !end.hasPassed {
            for _ in 0..<64 { try body(&fuzz) }
            count += 64
        }
        print("fuzz: \(what), \(count) inputs")
        return count
    }

    public mutating func next() -> UInt64 { random.next() }

    public mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(max(1, bound))) }

    public mutating func bytes(_ maximum: Int) -> [UInt8] {
        (0..<below(maximum + 1)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    public mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    /// Numbers as text, at and beyond the limits of every width.
    public mutating func number() -> [UInt8] {
        let special = [
            "0", "1", "-1", "00", "-0", "+1", " 1", "", "2147483648", "4294967296",
            "9007199254740992", "9223372036854775807", "9223372036854775808",
            "-9223372036854775809", "18446744073709551615", "99999999999999999999999", "1e9", "nan",
        ]
        return Array((below(2) == 0 ? pick(special) : "\(random.next() >> UInt64(below(64)))").utf8)
    }

    /// `bytes` with some of them flipped, cut out, doubled or replaced.
    public mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(4) {
            let position = below(bytes.count + 1)
            switch below(6) {
            case 0 where position < bytes.count: bytes[position] ^= 1 << UInt8(below(8))
            case 1 where position < bytes.count:
                bytes[position] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes.removeSubrange(position..<min(bytes.count, position + below(9)))
            case 3: bytes.insert(contentsOf: self.bytes(8), at: position)
            case 4: bytes.insert(contentsOf: number(), at: position)
            default: bytes.removeLast(below(bytes.count + 1) / 2)
            }
        }
        return bytes
    }
}
