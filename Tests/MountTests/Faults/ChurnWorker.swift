import Glibc
import Primitives
import TestSupport

/// A thread that makes trees of many small inodes, uses everything that a mount keeps something for (names,
/// links, attributes, locks, open files without names, holes, copies), and removes them again.
final class ChurnWorker: Sendable {
    private struct State {
        var operations = 0
        var failures: [String] = []
        var isStopping = false
    }

    private static let files = 120

    private let state = Monitor(State())
    private let thread = Locked<TestThread?>(nil)

    /// Works in `directory`, which is made, and is gone at the end.
    init(directory: String, seed: UInt64) {
        let started = TestThread(name: "churn") { [self] in
            var random = SeededRandom(seed: seed)
            var round = 0
            while !state.withLock({ $0.isStopping }) {
                do throws(Errno) {
                    try churn("\(directory)-\(round)", &random)
                } catch {
                    state.change {
                        $0.failures.append("round \(round): \(error)")
                        $0.isStopping = true
                    }
                }
                round += 1
            }
        }
        thread.withLock { $0 = started }
    }

    var operations: Int { state.withLock { $0.operations } }
    var failures: [String] { state.withLock { $0.failures } }

    func stop() {
        state.change { $0.isStopping = true }
        thread.withLock { $0 }?.join()
    }

    private func count(_ operations: Int) { state.withLock { $0.operations += operations } }

    private func require(_ isTrue: Bool, _ what: String) {
        if !isTrue { state.change { $0.failures.append(what) } }
    }

    private func churn(_ top: String, _ random: inout SeededRandom) throws(Errno) {
        try SystemCall.mkdir(top)
        var names: Set<String> = [".", ".."]
        for number in 0..<Self.files {
            let path = "\(top)/file-\(number)"
            let bytes = Bytes.pattern(Int(random.next() % 9_000), seed: random.next())
            try SystemCall.writeFile(path, bytes)
            if number % 8 == 0 {
                try SystemCall.setXattr(path, "user.note", Array("note \(number)".utf8))
                let note = try SystemCall.getXattr(path, "user.note")
                require(note == Array("note \(number)".utf8), "\(path): another attribute")
            }
            if number % 4 == 0 {
                try SystemCall.rename(path, path + "-renamed")
                names.insert("file-\(number)-renamed")
                let found = try SystemCall.readFile(path + "-renamed")
                require(found == bytes, "\(path): other bytes than written")
            } else {
                names.insert("file-\(number)")
            }
            if number % 16 == 1 {
                try SystemCall.link(path, path + "-link")
                try SystemCall.symlink(path, path + "-symbolic")
                names.formUnion(["file-\(number)-link", "file-\(number)-symbolic"])
            }
        }
        require(try Set(Listing.names(top)) == names, "\(top): other names than made")
        for name in names { _ = try SystemCall.lstat("\(top)/\(name)") }
        count(2 * Self.files + 2 * names.count)
        try useOpenFiles(top, &random)
        for name in names where name != "." && name != ".." {
            try SystemCall.unlink("\(top)/\(name)")
        }
        try SystemCall.rmdir(top)
        count(names.count)
    }

    /// What an open file can do beside reading and writing.
    private func useOpenFiles(_ top: String, _ random: inout SeededRandom) throws(Errno) {
        let path = top + "/open"
        let file = try Descriptor(path, O_RDWR | O_CREAT)
        let bytes = Bytes.pattern(300_000 + Int(random.next() % 300_000), seed: random.next())
        try file.writeAll(bytes)
        var range = flock()
        range.l_type = Int16(F_WRLCK)
        range.l_whence = Int16(SEEK_SET)
        require(fcntl(file.raw, F_SETLK, &range) == 0, "\(path): not locked")
        try file.allocate([.punchHole, .keepSize], at: 50_000, count: 150_000)
        try file.sync()
        let copy = try Descriptor(path + "-copy", O_RDWR | O_CREAT)
        let copied = try copy.copy(from: file, at: 0, to: 0, count: 253_952)
        require(copied == 253_952, "\(path): copied \(copied)")
        try SystemCall.unlink(path)
        try SystemCall.unlink(path + "-copy")
        let last = try file.read(1_000, at: 250_000)
        require(last == Array(bytes[250_000..<251_000]), "\(path): other bytes than written")
        let same = try copy.read(1_000, at: 250_000)
        require(same == last, "\(path): other bytes than copied")
        try file.close()
        try copy.close()
        count(14)
    }
}
