import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct LargeFileTests {
        private static let mib = 1 << 20
        private static let flags = ["--cache-size", "64M"]

        @Test func `a file larger than the cache comes back, also after mounting again`() throws {
            try withMount(flags: Self.flags) { mount in
                let path = mount.path + "/large"
                var stamps = (0..<Scale.largeFileMiB).map { UInt64($0) }
                let file = try Descriptor(path, O_RDWR | O_CREAT)
                var piece = Piece(byteCount: Self.mib)
                for (index, stamp) in stamps.enumerated() {
                    try file.write(piece.stamped(stamp), at: index * Self.mib)
                }
                #expect(try mismatches(file, stamps) == [])

                // Every seventh MiB anew, from the back, while the cache holds something else.
                for index in stride(from: stamps.count - 1, through: 0, by: -7) {
                    stamps[index] += 1_000_000
                    try file.write(piece.stamped(stamps[index]), at: index * Self.mib)
                }
                try file.close()
                #expect(try mismatches(try Descriptor(path, O_RDONLY), stamps) == [])
                try mount.remount()
                #expect(try SystemCall.stat(path).st_size == stamps.count * Self.mib)
                #expect(try mismatches(try Descriptor(path, O_RDONLY), stamps) == [])
            }
        }

        @Test func `two files at once, read at random through a cache of 16 MiB`() throws {
            try withMount(flags: ["--cache-size", "16M"]) { mount in
                let count = max(24, Scale.largeFileMiB / 8)
                var piece = Piece(byteCount: Self.mib)
                let files = try (0..<2).map {
                    try Descriptor("\(mount.path)/\($0)", O_RDWR | O_CREAT)
                }
                for index in 0..<count {
                    for (number, file) in files.enumerated() {
                        try file.write(
                            piece.stamped(UInt64(number << 32 | index)), at: index * Self.mib)
                    }
                }
                var random = SeededRandom(seed: Scale.seed)
                for _ in 0..<500 {
                    let number = Int(random.next() % 2)
                    let page = Int(random.next() % UInt64(count * 256))
                    let wanted = piece.page(
                        page % 256, stamp: UInt64(number << 32 | page / 256))
                    let got = try files[number].read(4_096, at: page * 4_096)
                    #expect(got == wanted, "file \(number), page \(page), seed \(Scale.seed)")
                    if got != wanted { return }
                }
            }
        }

        /// The indexes of the MiB that do not hold what their stamps say.
        private func mismatches(_ file: Descriptor, _ stamps: [UInt64]) throws -> [Int] {
            var piece = Piece(byteCount: Self.mib)
            return try stamps.enumerated().filter { index, stamp in
                try file.read(Self.mib, at: index * Self.mib) != piece.stamped(stamp)
            }.map(\.offset)
        }
    }
}

/// Incompressible bytes, each page of which carries a number, so that no two pieces are the same.
private struct Piece {
    private var bytes: [UInt8]

    init(byteCount: Int) { bytes = Bytes.pattern(byteCount, seed: 77) }

    /// The bytes with `stamp` in each page.
    mutating func stamped(_ stamp: UInt64) -> [UInt8] {
        bytes.withUnsafeMutableBytes { buffer in
            for page in stride(from: 0, to: buffer.count, by: 4_096) {
                buffer.storeBytes(of: stamp, toByteOffset: page + 8, as: UInt64.self)
            }
        }
        return bytes
    }

    mutating func page(_ index: Int, stamp: UInt64) -> [UInt8] {
        Array(stamped(stamp)[index * 4_096..<(index + 1) * 4_096])
    }
}
