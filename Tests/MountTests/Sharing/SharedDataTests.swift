import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Contents of files that several mounts use at once.
    @Suite struct SharedDataTests {
        @Test func `an open after a close elsewhere sees data and size, in every round`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                var random = SeededRandom(seed: Scale.seed)
                print("close to open: \(Scale.sharingRounds) rounds, seed \(Scale.seed)")
                var staleRounds: [Int] = []
                try SystemCall.writeFile(paths[0], "x")
                for round in 0..<Scale.sharingRounds {
                    let writer = Int.random(in: 0...1, using: &random)
                    let length = Int.random(in: 1...9_000, using: &random)
                    let bytes = Bytes.pattern(length, seed: UInt64(round) + 1)
                    let isFresh = Bool.random(using: &random)
                    let file = try Descriptor(paths[writer], O_WRONLY | (isFresh ? O_TRUNC : 0))
                    try file.writeAll(bytes)
                    if !isFresh { try file.truncate(length) }
                    try file.close()
                    let reader = try Descriptor(paths[1 - writer], O_RDONLY)
                    let size = try reader.status().st_size
                    let found = try reader.readToEnd()
                    if found != bytes || Int(size) != length { staleRounds.append(round) }
                }
                print("close to open: \(staleRounds.count) stale rounds")
                #expect(staleRounds.isEmpty)
            }
        }

        @Test func `an open after a close elsewhere finds a file that was made or replaced`() throws
        {
            try withMounts(2) { volume in
                for round in 0..<Scale.sharingRounds / 3 {
                    let (here, there) = (volume.mounts[round % 2], volume.mounts[1 - round % 2])
                    let made = "/made-\(round)"
                    #expect(!SystemCall.exists(there.path + made))
                    try SystemCall.writeFile(here.path + made, "text \(round)")
                    #expect(
                        try SystemCall.readFile(there.path + made) == Array("text \(round)".utf8))
                    try SystemCall.writeFile(here.path + "/new", "kept \(round)")
                    try SystemCall.rename(here.path + "/new", here.path + "/kept")
                    let kept = try SystemCall.readFile(there.path + "/kept")
                    #expect(String(decoding: kept, as: UTF8.self) == "kept \(round)")
                }
            }
        }

        @Test func `O_DIRECT reads are fresh at each read`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                try SystemCall.writeFile(paths[0], Bytes.pattern(8_192, seed: 1))
                let reader = try Descriptor(paths[1], O_RDONLY | apusfs_o_direct())
                let writer = try Descriptor(paths[0], O_WRONLY)
                for round in 0..<50 {
                    let bytes = Bytes.pattern(4_096, seed: UInt64(round) + 2)
                    try writer.write(bytes, at: 4_096 * (round % 2))
                    try writer.sync()
                    #expect(try reader.read(4_096, at: 4_096 * (round % 2)) == bytes)
                }
            }
        }

        @Test(arguments: ["none", "lz4"])
        func `disjoint bytes of one block from several mounts all survive`(_ codec: String) throws {
            try withMounts(3, layout: ["--codec", codec]) { volume in
                let paths = volume.paths("file")
                // Compressible, and longer than what stays raw.
                try SystemCall.writeFile(paths[0], [UInt8](repeating: 0, count: 30_000))
                let strips = 6
                try inParallel(strips) { strip in
                    let file = try Descriptor(paths[strip % 3], O_RDWR)
                    for round in 1...10 {
                        let bytes = [UInt8](repeating: UInt8(10 * strip + round), count: 5_000)
                        try file.write(bytes, at: strip * 5_000)
                        if round.isMultiple(of: 3) { try file.sync() }
                    }
                    try file.close()
                }
                let expected = (0..<strips).flatMap {
                    [UInt8](repeating: UInt8(10 * $0 + 10), count: 5_000)
                }
                for path in paths { #expect(try SystemCall.readFile(path) == expected) }
            }
        }

        /// A reader at the start of the file has the kernel read ahead over the other writer's part, whose
        /// pages other mounts' changes have dropped (`PageDoubt`).
        @Test func `a program reads what it has just written while others write beside it`() throws
        {
            let part = 7_001
            try withMounts(3) { volume in
                let paths = volume.paths("file")
                try SystemCall.writeFile(paths[0], "")
                try inParallel(2 * paths.count) { number in
                    var random = SeededRandom(seed: Scale.seed &+ UInt64(number))
                    let file = try Descriptor(paths[number % paths.count], O_RDWR)
                    var own = [UInt8](repeating: 0, count: part)
                    for round in 0..<Scale.sharingRounds {
                        let start = Int.random(in: 0..<part, using: &random)
                        let end = Int.random(in: start + 1...part, using: &random)
                        let byte = UInt8.random(in: 1...255, using: &random)
                        own.replaceSubrange(
                            start..<end, with: [UInt8](repeating: byte, count: end - start))
                        try file.write(Array(own[start..<end]), at: number * part + start)
                        if round % 2 == 0 { try file.sync() }
                        let found = try file.read(part, at: number * part)
                        let rest = [UInt8](repeating: 0, count: part - found.count)
                        let isOwn = found + rest == own
                        #expect(isOwn, "writer \(number) in round \(round): \(start)..<\(end)")
                        if !isOwn { return }
                    }
                }
            }
        }

        @Test func `a truncation and a write at once end in a state of some order`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                for round in 0..<20 {
                    try SystemCall.writeFile(paths[0], [UInt8](repeating: 1, count: 9_000))
                    try inParallel(2) { number in
                        let file = try Descriptor(paths[number], O_RDWR)
                        if number == 0 {
                            try file.truncate(3_000)
                        } else {
                            try file.write([UInt8](repeating: 2, count: 1_000), at: 6_000)
                        }
                        try file.close()
                    }
                    let found = try SystemCall.readFile(paths[round % 2])
                    let cutLast = [UInt8](repeating: 1, count: 3_000)
                    let writtenLast =
                        cutLast + [UInt8](repeating: 0, count: 3_000)
                        + [UInt8](repeating: 2, count: 1_000)
                    #expect(found == cutLast || found == writtenLast, "\(found.count) bytes")
                }
            }
        }

        @Test func `a file that grows from two sides keeps both`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                try SystemCall.writeFile(paths[0], "")
                try inParallel(2) { number in
                    let file = try Descriptor(paths[number], O_WRONLY)
                    for piece in 0..<40 {
                        let bytes = [UInt8](repeating: UInt8(number + 1), count: 1_000)
                        try file.write(bytes, at: (2 * piece + number) * 1_000)
                        if piece % 7 == 0 { try file.sync() }
                    }
                    try file.close()
                }
                let expected = (0..<80).flatMap {
                    [UInt8](repeating: UInt8($0 % 2 + 1), count: 1_000)
                }
                for path in paths { #expect(try SystemCall.readFile(path) == expected) }
            }
        }

        @Test func `what a program writes under a lock is what the next holder reads`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("counter")
                try SystemCall.writeFile(paths[0], "0")
                let rounds = 60
                // Descriptors that stay open, and the page cache: only the lock says when to look again.
                try inParallel(4) { number in
                    let file = try Descriptor(paths[number % 2], O_RDWR)
                    for _ in 0..<rounds {
                        try SystemCall.checkError(apusfs_lock_file(file.raw, true, true))
                        let text = String(decoding: try file.read(20, at: 0), as: UTF8.self)
                        let count = try #require(Int(text), "the counter reads '\(text)'")
                        try file.write(Array(String(count + 1).utf8), at: 0)
                        try SystemCall.checkError(apusfs_unlock_file(file.raw))
                    }
                }
                #expect(try SystemCall.readFile(paths[1]) == Array("\(4 * rounds)".utf8))
            }
        }
    }
}
