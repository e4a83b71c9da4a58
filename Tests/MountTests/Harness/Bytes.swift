import TestSupport

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
