import TestSupport

extension SeededRandom {
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
