import Codecs
import Primitives
import TestSupport
import Testing

/// Damaged and hostile payloads: cut short, changed, and bombs that claim or bring more than they may.
@Suite struct FuzzTests {
    private static let guardBytes = 64

    @Test func `any payload fills exactly what is expected or is refused`() {
        let codecs: [(Codec, UInt8)] = [
            (.lz4, Codec.lz4Identifier), (.zlib(level: 6), Codec.zlibIdentifier),
        ]
        var sound = 0
        let count = Fuzz.run("payloads") { fuzz in
            let (codec, identifier) = fuzz.pick(codecs)
            let original =
                fuzz.below(2) == 0
                ? [UInt8](repeating: UInt8(fuzz.below(256)), count: fuzz.below(20_000))
                : fuzz.bytes(400)
            var room = [UInt8](repeating: 0, count: original.count + 1_024)
            let length = original.withUnsafeBytes { source in
                room.withUnsafeMutableBytes { codec.compress(source, into: $0) }
            }
            guard let length else { return }
            let packed =
                fuzz.below(4) == 0 ? room[..<length] : fuzz.mutated(Array(room[..<length]))[...]
            // Often less than what the payload holds: a bomb.
            let expecting = fuzz.below(3) == 0 ? original.count : fuzz.below(original.count + 100)
            var output = [UInt8](repeating: 0xEE, count: expecting + Self.guardBytes)
            let isSound = Array(packed).withUnsafeBytes { source in
                output.withUnsafeMutableBytes { target in
                    do throws(CodecError) {
                        try Codec.decompress(
                            identifier: identifier, source, into: target, expecting: expecting)
                        return true
                    } catch {
                        return false
                    }
                }
            }
            if isSound { sound += 1 }
            #expect(
                output[expecting...].allSatisfy { $0 == 0xEE }, "wrote behind, seed \(fuzz.seed)")
        }
        #expect(sound > 0 && sound < count)
    }
}
