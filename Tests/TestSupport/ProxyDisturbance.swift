/// What happens to the pieces of bytes that pass a proxy, chosen from a seed. A value.
struct ProxyDisturbance {
    struct Fate {
        var delayMicroseconds: UInt32
        var isCut: Bool
    }

    private var random: SplitMix64
    private let maximumDelayMicroseconds: UInt32
    private let cutOneIn: Int

    init(seed: UInt64, maximumDelayMicroseconds: UInt32, cutOneIn: Int) {
        random = SplitMix64(seed: seed)
        self.maximumDelayMicroseconds = maximumDelayMicroseconds
        self.cutOneIn = cutOneIn
    }

    mutating func next() -> Fate {
        Fate(
            delayMicroseconds: .random(in: 0...maximumDelayMicroseconds, using: &random),
            isCut: cutOneIn > 0 && Int.random(in: 1...cutOneIn, using: &random) == 1)
    }
}

/// Numbers that a seed determines (Steele, Lea and Flood, 2014).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
