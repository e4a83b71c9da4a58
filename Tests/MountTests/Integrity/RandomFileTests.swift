import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Random reads, writes, truncations and mapped stores of a few files, against arrays in memory.
    @Suite struct RandomFileTests {
        @Test(arguments: ["none", "lz4", "zlib:1"], ["4K", "124K", "1M"])
        func `files agree with a model, during, at the end and after mounting again`(
            codec: String, blockSize: String
        ) throws {
            let seed = Scale.seed
            print("random files: codec \(codec), block size \(blockSize), APUSFS_TEST_SEED=\(seed)")
            // A cache of a few blocks, so that blocks come and go; age flushes in between.
            let flags = ["--cache-size", "8M", "--flush-interval", "50ms"]
            try withMount(layout: ["--codec", codec, "--block-size", blockSize], flags: flags) {
                mount in
                var program = try RandomFileProgram(
                    directory: mount.path, seed: seed, blockBytes: try #require(bytes(blockSize)))
                for step in 0..<Scale.randomOperations {
                    if let mismatch = try program.step() {
                        Issue.record("\(mismatch) at step \(step), seed \(seed)")
                        return
                    }
                    if step == Scale.randomOperations / 2 {
                        program.closeAll()
                        try mount.remount()
                        try program.openAll()
                    }
                }
                #expect(try program.mismatches() == [], "seed \(seed)")
                program.closeAll()
                try mount.remount()
                try program.openAll()
                #expect(try program.mismatches() == [], "mounted again, seed \(seed)")
            }
        }

        private func bytes(_ text: String) -> Int? {
            Int(text.dropLast()).map { $0 << (text.hasSuffix("M") ? 20 : 10) }
        }
    }
}
