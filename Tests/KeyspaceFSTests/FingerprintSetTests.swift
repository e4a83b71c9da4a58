import TestSupport
import Testing

@testable import KeyspaceFS

@Suite struct FingerprintSetTests {
    @Test func `it agrees with a set`() {
        var set = FingerprintSet(limit: 10_000)
        var model: Set<UInt64> = []
        var random = SeededRandom(seed: 3)
        for _ in 0..<2_000 {
            // Few low bits, so that chains are long.
            let number = UInt64(random.below(64)) | UInt64(random.below(40)) << 32 | 1
            if random.below(3) == 0 {
                set.remove(number)
                model.remove(number)
            } else {
                let isNew = set.insert(number)
                #expect(isNew == model.insert(number).inserted)
            }
            #expect(set.count == model.count)
        }
        for number in model { #expect(set.contains(number)) }
    }

    @Test func `a full set refuses, and says so`() {
        var set = FingerprintSet(limit: 3)
        let numbers: [UInt64] = [1, 2, 3, 2, 4, 4]
        #expect(numbers.map { set.insert($0) } == [true, true, true, false, true, true])
        #expect(set.isOverfull && set.count == 3 && !set.contains(4))
    }
}
