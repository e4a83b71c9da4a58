/// What happens to the pieces of bytes that pass a proxy, chosen from a seed. A value.
struct ProxyDisturbance {
    struct Fate {
        var delayMicroseconds: UInt32
        var isCut: Bool
    }

    private var random: SeededRandom
    private let maximumDelayMicroseconds: UInt32
    private let cutOneIn: Int

    init(seed: UInt64, maximumDelayMicroseconds: UInt32, cutOneIn: Int) {
        random = SeededRandom(seed: seed)
        self.maximumDelayMicroseconds = maximumDelayMicroseconds
        self.cutOneIn = cutOneIn
    }

    mutating func next() -> Fate {
        Fate(
            delayMicroseconds: .random(in: 0...maximumDelayMicroseconds, using: &random),
            isCut: cutOneIn > 0 && Int.random(in: 1...cutOneIn, using: &random) == 1)
    }
}
