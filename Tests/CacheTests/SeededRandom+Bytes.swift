import TestSupport

extension SeededRandom {
    /// `count` random bytes, quickly also in a debug build.
    mutating func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count + 8) { memory, written in
            let raw = UnsafeMutableRawBufferPointer(memory)
            for offset in stride(from: 0, to: count, by: 8) {
                raw.storeBytes(of: next(), toByteOffset: offset, as: UInt64.self)
            }
            written = count
        }
    }
}
