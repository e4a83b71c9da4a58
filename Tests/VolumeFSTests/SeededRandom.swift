/// A random generator that a printed seed starts again (splitmix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// Bytes that compress, that do not, or that are zero.
    mutating func content(count: Int) -> [UInt8] {
        switch next() % 4 {
        case 0: return [UInt8](repeating: 0, count: count)
        case 1:
            let byte = UInt8(truncatingIfNeeded: next())
            return [UInt8](repeating: byte, count: count)
        default:
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count + 8)
            while bytes.count < count {
                withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
            }
            bytes.removeLast(bytes.count - count)
            return bytes
        }
    }
}
