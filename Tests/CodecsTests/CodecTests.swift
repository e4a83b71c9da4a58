import Codecs
import TestSupport
import Testing

/// Lends the bytes of an array as the codecs want them.
private func compress(_ codec: Codec, _ bytes: [UInt8], room: Int) -> [UInt8]? {
    var output = [UInt8](repeating: 0xEE, count: room)
    let count = bytes.withUnsafeBytes { source in
        output.withUnsafeMutableBytes { codec.compress(source, into: $0) }
    }
    guard let count else { return nil }
    return Array(output[..<count])
}

/// Decompresses into memory with a guard zone behind `expecting`, and checks that it stays whole.
private func decompress(
    _ identifier: UInt8, _ bytes: [UInt8], expecting: Int
) throws -> [UInt8] {
    let guardBytes = 64
    var output = [UInt8](repeating: 0xEE, count: expecting + guardBytes)
    defer { #expect(output[expecting...].allSatisfy { $0 == 0xEE }, "wrote behind the promise") }
    try bytes.withUnsafeBytes { source in
        try output.withUnsafeMutableBytes {
            try Codec.decompress(identifier: identifier, source, into: $0, expecting: expecting)
        }
    }
    return Array(output[..<expecting])
}

private let codecs: [Codec] = [.none, .lz4] + Codec.zlibLevels.map { .zlib(level: $0) }
private let lengths = [0, 1, 2, 13, 100, 4_095, 4_096, 65_536, 126_976, 1_048_576]

/// Text-like: repeats, but not only.
private func compressible(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 / 7) &* ($0 % 5) & 0x3F) }
}

private func random(_ count: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededRandom(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

@Suite struct CodecTests {
    @Test(arguments: codecs) func `what is compressed comes back`(codec: Codec) throws {
        for length in lengths {
            for content in [compressible(length), random(length, seed: UInt64(length))] {
                let packed = try #require(compress(codec, content, room: length + length / 8 + 64))
                let back = try decompress(codec.identifier, packed, expecting: length)
                #expect(back == content)
            }
        }
    }

    @Test(arguments: codecs.filter { $0 != .none })
    func `text shrinks and noise does not fit into its own size`(codec: Codec) {
        let text = compressible(126_976)
        let packed = compress(codec, text, room: text.count - 1)
        #expect((packed?.count ?? .max) < text.count / 2)
        let noise = random(126_976, seed: 7)
        #expect(compress(codec, noise, room: noise.count - 1) == nil)
    }

    @Test(arguments: codecs) func `a destination one byte too small is refused`(codec: Codec) throws
    {
        let content = compressible(10_000)
        let packed = try #require(compress(codec, content, room: 20_000))
        // LZ4 may choose another encoding when room is short, but never a larger one.
        #expect((compress(codec, content, room: packed.count)?.count ?? 0) == packed.count)
        #expect(compress(codec, content, room: packed.count / 2) == nil)
        #expect(compress(codec, content, room: 0) == nil)
    }

    @Test(arguments: codecs) func `another length than the promised one is an error`(codec: Codec)
        throws
    {
        let content = compressible(5_000)
        let packed = try #require(compress(codec, content, room: 10_000))
        for expecting in [0, 1, 4_999, 5_001, 9_000] {
            #expect(throws: CodecError.self) {
                _ = try decompress(codec.identifier, packed, expecting: expecting)
            }
        }
    }

    @Test(arguments: [Codec.lz4, .zlib(level: 6)])
    func `a cut or prolonged stream is an error`(codec: Codec) throws {
        let content = compressible(5_000)
        let packed = try #require(compress(codec, content, room: 10_000))
        for cut in [0, 1, packed.count / 2, packed.count - 1] {
            #expect(throws: CodecError.self) {
                _ = try decompress(codec.identifier, Array(packed[..<cut]), expecting: 5_000)
            }
        }
        #expect(throws: CodecError.self) {
            _ = try decompress(codec.identifier, packed + [0], expecting: 5_000)
        }
    }

    @Test(arguments: [Codec.lz4, .zlib(level: 1)])
    func `hostile bytes never write outside of the destination`(codec: Codec) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var generator = SeededRandom(seed: seed)
        let sound = try #require(compress(codec, compressible(3_000), room: 6_000))
        for _ in 0..<2_000 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            // Either error or content is right; the guard zone in `decompress` is the check.
            _ = try? decompress(codec.identifier, bytes, expecting: 3_000)
            _ = try? decompress(codec.identifier, bytes, expecting: 17)
        }
    }

    @Test func `an unknown identifier is named`() {
        #expect(throws: CodecError.unknownIdentifier(3)) {
            _ = try decompress(3, [1, 2, 3], expecting: 3)
        }
    }

    @Test func `names and identifiers are the documented ones`() {
        #expect(codecs.map(\.name).prefix(3) == ["none", "lz4", "zlib:1"])
        #expect(codecs.allSatisfy { Codec(name: $0.name) == $0 })
        #expect(Codec(name: "zlib") == .zlib(level: 6))
        for bad in [
            "", "LZ4", "zlib:", "zlib:0", "zlib:10", "zlib:a", "zlib:-1", "lz4:1", "zlib:6 ",
        ] {
            #expect(Codec(name: bad) == nil, "\(bad)")
        }
        #expect([Codec.none, .lz4, .zlib(level: 9)].map(\.identifier) == [0, 1, 2])
    }

    @Test func `many threads compress at once`() async throws {
        let content = compressible(50_000)
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<32 {
                group.addTask {
                    let codec = codecs[task % codecs.count]
                    guard let packed = compress(codec, content, room: 60_000) else { return false }
                    return (try? decompress(codec.identifier, packed, expecting: content.count))
                        == content
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test func `crc32 is the one of zip`() {
        let check = Array("123456789".utf8)
        #expect(check.withUnsafeBytes { Checksum.crc32($0) } == 0xCBF4_3926)
        #expect([UInt8]().withUnsafeBytes { Checksum.crc32($0) } == 0)
    }
}
