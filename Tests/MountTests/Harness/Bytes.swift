/// Bytes for tests.
enum Bytes {
    /// Bytes without a visible pattern, the same each time for the same seed.
    static func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var word: UInt64 = 0
            for index in 0..<count {
                if index.isMultiple(of: 8) { word = random.next() }
                buffer[index] = UInt8(truncatingIfNeeded: word)
                word >>= 8
            }
            initialized = count
        }
    }

    /// Bytes that a codec can make smaller: words out of a short list.
    static func text(_ count: Int, seed: UInt64) -> [UInt8] {
        let words = [
            "swift ", "apus ", "block ", "inode ", "volume ", "flush\n", "stripe ", "batch ",
        ]
        var random = SeededRandom(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { bytes += words[Int(random.next() % 8)].utf8 }
        return Array(bytes[..<count])
    }
}

/// SplitMix64: small, fast, and the same everywhere.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
