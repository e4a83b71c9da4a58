import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    /// Which times of a file and of its directory each operation moves: those that the POSIX page of the call
    /// marks for update, and no other.
    @Suite struct TimesTests {
        /// What moves: modification and change time of the file, and of the directory that holds it.
        struct Moves: OptionSet, Sendable, CustomStringConvertible {
            let rawValue: Int

            static let modification = Moves(rawValue: 1)
            static let change = Moves(rawValue: 2)
            static let directoryModification = Moves(rawValue: 4)
            static let directoryChange = Moves(rawValue: 8)
            static let both: Moves = [.modification, .change]
            static let directory: Moves = [.directoryModification, .directoryChange]

            var description: String {
                let names = ["mtime", "ctime", "the directory's mtime", "the directory's ctime"]
                return "\(names.indices.filter { rawValue >> $0 & 1 == 1 }.map { names[$0] })"
            }
        }

        struct Operation: Sendable {
            let name: String
            let moves: Moves
            let run: @Sendable (Place) throws -> Void

            init(_ name: String, _ moves: Moves, _ run: @escaping @Sendable (Place) throws -> Void)
            {
                self.name = name
                self.moves = moves
                self.run = run
            }
        }

        /// On a directory that holds `file` (of 5,000 bytes), `other` (a second name of it) and `sub`.
        static let operations: [Operation] = [
            Operation("chmod", .change) { try SystemCall.chmod($0["file"], 0o600) },
            Operation("chown", .change) { try SystemCall.chown($0["file"], user: 60_001) },
            Operation("utimensat", .change) {
                try SystemCall.setTimes(
                    $0["file"], access: (1, 0), modification: (0, Int(APUSFS_UTIME_OMIT)))
            },
            Operation("setxattr", .change) { try SystemCall.setXattr($0["file"], "user.x", [1]) },
            Operation("write", .both) { try file($0).write([1], at: 0) },
            Operation("write behind the end", .both) { try file($0).write([1], at: 10_000) },
            Operation("write of nothing", []) { try file($0).write([], at: 0) },
            Operation("truncate to less", .both) { try SystemCall.truncate($0["file"], 10) },
            Operation("truncate to more", .both) { try SystemCall.truncate($0["file"], 10_000) },
            Operation("ftruncate", .both) { try file($0).truncate(10) },
            Operation("open with O_TRUNC", .both) {
                _ = try Descriptor($0["file"], O_WRONLY | O_TRUNC)
            },
            Operation("open with O_CREAT", []) {
                _ = try Descriptor($0["file"], O_WRONLY | O_CREAT)
            },
            Operation("open and close", []) { try file($0).close() },
            Operation("fallocate", .both) { try file($0).allocate([], at: 0, count: 10_000) },
            Operation("fallocate with a hole", .both) {
                try file($0).allocate([.punchHole, .keepSize], at: 10, count: 100)
            },
            Operation("copy_file_range", .both) {
                let target = try file($0)
                _ = try target.copy(from: target, at: 0, to: 5_000, count: 100)
            },
            Operation("a store through a mapping", .both) {
                let mapping = try Mapping(try file($0), count: 5_000)
                mapping.bytes[7] = 9
                try mapping.sync()
            },
            Operation("read", []) { _ = try SystemCall.readFile($0["file"]) },
            Operation("fsync", []) { try file($0).sync() },
            Operation("stat and access", []) {
                _ = try SystemCall.stat($0["file"])
                try SystemCall.access($0["file"], R_OK)
            },
            Operation("readdir", []) { _ = try Listing.names($0.path) },
            Operation("link", [.change, .directory]) {
                try SystemCall.link($0["file"], $0["new"])
            },
            Operation("unlink of another name", [.change, .directory]) {
                try SystemCall.unlink($0["other"])
            },
            Operation("rename", [.change, .directory]) {
                try SystemCall.rename($0["file"], $0["moved"])
                try SystemCall.rename($0["moved"], $0["file"])
            },
            Operation("rename of one name to another of the same file", []) {
                try SystemCall.rename($0["file"], $0["other"])
            },
            Operation("create", .directory) { try SystemCall.writeFile($0["new"]) },
            Operation("mkdir", .directory) { try SystemCall.mkdir($0["new"]) },
            Operation("mknod", .directory) { try SystemCall.mkfifo($0["new"]) },
            Operation("symlink", .directory) { try SystemCall.symlink("x", $0["new"]) },
            Operation("rmdir", .directory) { try SystemCall.rmdir($0["sub"]) },
            Operation("mkdir that fails", []) { place in
                #expect(throws: Errno.exists) { try SystemCall.mkdir(place["sub"]) }
            },
            Operation("unlink that fails", []) { place in
                #expect(throws: Errno.noEntry) { try SystemCall.unlink(place["missing"]) }
            },
            Operation("something made in a directory below", []) {
                try SystemCall.writeFile($0["sub/new"])
            },
        ]

        private static func file(_ place: Place) throws(Errno) -> Descriptor {
            try Descriptor(place["file"], O_RDWR)
        }

        @Test(arguments: operations.indices)
        func `each operation moves the times that its page says, and no other`(index: Int) throws {
            let operation = Self.operations[index]
            let place = try Mount.current.makePlace()
            try SystemCall.writeFile(place["file"], Bytes.pattern(5_000, seed: 1))
            try SystemCall.link(place["file"], place["other"])
            try SystemCall.mkdir(place["sub"])
            for path in [place["file"], place.path] {
                try SystemCall.setTimes(path, access: (5, 0), modification: (5, 0))
            }
            let file = try SystemCall.stat(place["file"])
            let directory = try SystemCall.stat(place.path)
            // The clock of the kernel's times moves in ticks.
            while Instant.now <= max(file.changeTime, directory.changeTime) {}
            try operation.run(place)
            // Twice: what is stored later must say the same.
            for _ in 0..<2 {
                let fileNow = try SystemCall.stat(place["file"])
                let directoryNow = try SystemCall.stat(place.path)
                var moved: Moves = []
                if fileNow.modificationTime != file.modificationTime { moved.insert(.modification) }
                if fileNow.changeTime != file.changeTime { moved.insert(.change) }
                if directoryNow.modificationTime != directory.modificationTime {
                    moved.insert(.directoryModification)
                }
                if directoryNow.changeTime != directory.changeTime {
                    moved.insert(.directoryChange)
                }
                #expect(moved == operation.moves, "\(operation.name)")
                #expect(fileNow.changeTime >= file.changeTime)
                try Self.file(place).sync()
            }
        }
    }
}
