import Glibc
import Primitives
import TestSupport

/// A tree of files such as a source archive has: many small ones, some large, empty ones, programs, links.
struct Tree {
    let fileCount: Int
    let seed: UInt64

    /// Makes the tree at `path`, which must not be there. The same tree for the same seed.
    func make(at path: String) throws(Errno) {
        try SystemCall.mkdir(path)
        var random = SeededRandom(seed: seed)
        let directories = try makeDirectories(below: path, random: &random)
        for index in 0..<fileCount {
            let directory = directories[Int(random.next() % UInt64(directories.count))]
            let file = "\(directory)/file-\(index)" + (index.isMultiple(of: 5) ? ".bin" : ".txt")
            let count = size(index, random: &random)
            let bytes =
                index.isMultiple(of: 5)
                ? Bytes.pattern(count, seed: UInt64(index)) : Bytes.text(count, seed: UInt64(index))
            try SystemCall.writeFile(file, bytes, mode: index.isMultiple(of: 17) ? 0o755 : 0o644)
            if index.isMultiple(of: 50) {
                try SystemCall.symlink("file-\(index)", "\(directory)/link-\(index)")
            }
        }
    }

    private func makeDirectories(
        below path: String, random: inout SeededRandom
    ) throws(Errno) -> [String] {
        var directories = [path]
        for index in 0..<max(1, fileCount / 25) {
            let parent = directories[Int(random.next() % UInt64(directories.count))]
            let directory = "\(parent)/dir-\(index)"
            try SystemCall.mkdir(directory)
            directories.append(directory)
        }
        return directories
    }

    /// Mostly a few KiB; every hundredth file is a quarter of a MiB and some are empty.
    private func size(_ index: Int, random: inout SeededRandom) -> Int {
        if index % 100 == 99 { return 250_000 + Int(random.next() % 30_000) }
        return index % 31 == 30 ? 0 : Int(random.next() % 4_000)
    }
}
