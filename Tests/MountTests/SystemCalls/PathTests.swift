import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    /// Path resolution (path_resolution(7)): long, deep, dotted and circular paths.
    @Suite struct PathTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a thousand directories deep everything still works`() throws {
            let depth = 1_000
            // Relative steps: as one path this would be longer than a path may be.
            let start = try Descriptor(place.path, O_RDONLY | O_DIRECTORY)
            var level = start.raw
            var open: [Int32] = []
            defer { for descriptor in open { close(descriptor) } }
            for _ in 0..<depth {
                try SystemCall.check(mkdirat(level, "deeper", 0o755))
                level = openat(level, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                #expect(level >= 0)
                open.append(level)
            }
            let file = openat(level, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
            #expect(file >= 0)
            #expect(write(file, "deep", 4) == 4)
            close(file)
            // Up again by `..`, a hundred at a time, to the same inode.
            var upper = level
            for step in stride(from: depth, to: 0, by: -100) {
                let next = openat(
                    upper, Array(repeating: "..", count: 100).joined(separator: "/"),
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                #expect(next >= 0, "at depth \(step)")
                open.append(next)
                upper = next
            }
            var status = FileStatus()
            try SystemCall.check(fstat(upper, &status))
            #expect(try start.status().st_ino == status.st_ino)
            // A directory at the bottom cannot be moved under itself, and the top cannot go under the bottom.
            #expect(renameat(start.raw, "deeper", level, "top") == -1)
            #expect(errno == EINVAL)
            // The bottom comes up; what is left is removed from the bottom on.
            try SystemCall.check(renameat(level, "file", start.raw, "raised"))
            #expect(try SystemCall.readFile(place["raised"]) == Array("deep".utf8))
        }

        @Test func `a path of 4,095 bytes works, a longer one is ENAMETOOLONG`() throws {
            let name = String(repeating: "d", count: 200)
            var path = place.path
            while path.utf8.count + name.utf8.count + 1 < 3_900 {
                path += "/" + name
                try SystemCall.mkdir(path)
            }
            let last = path + "/" + String(repeating: "f", count: 4_095 - path.utf8.count - 1)
            try SystemCall.writeFile(last, "text")
            #expect(try SystemCall.readFile(last) == Array("text".utf8))
            #expect(throws: Errno.nameTooLong) { try SystemCall.stat(last + "f") }
        }

        @Test func `names of any bytes, valid UTF-8 or not, are kept apart and listed`() throws {
            let names: [[CChar]] = [
                [-1], [-2, -1], [-64, -128], [-19, -96, -128], [-12, -112, -128, -128], [-61],
                [1], [127], [10], [32], [92], [39, 34],
            ]
            for (index, name) in names.enumerated() {
                let path = place.path.utf8CString.dropLast() + [47] + name + [0]
                let file = open(Array(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
                #expect(file >= 0, "name \(index)")
                close(file)
            }
            let stream = try #require(opendir(place.path))
            defer { closedir(stream) }
            var found: [[CChar]] = []
            while let entry = readdir(stream) {
                let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) }
                }
                if bytes != [46], bytes != [46, 46] { found.append(bytes) }
            }
            #expect(Set(found) == Set(names))
            #expect(found.count == names.count)
        }

        @Test func `dots, double slashes and slashes at the end lead where they should`() throws {
            try SystemCall.mkdir(place["a"])
            try SystemCall.mkdir(place["a/b"])
            try SystemCall.writeFile(place["a/file"])
            let wanted = try SystemCall.stat(place["a/b"]).st_ino
            for path in ["a/./b", "a//b", "a/b/", "a/b/.", "a/b/../b", "a/../a/b", "./a/b//"] {
                #expect(try SystemCall.stat(place[path]).st_ino == wanted, "\(path)")
            }
            #expect(throws: Errno.notDirectory) { try SystemCall.stat(place["a/file/.."]) }
            #expect(throws: Errno.noEntry) { try SystemCall.stat(place["a/missing/.."]) }
            #expect(throws: Errno.invalid) { try SystemCall.rmdir(place["a/b/."]) }
            #expect(throws: Errno.directoryNotEmpty) { try SystemCall.rmdir(place["a/b/.."]) }
            #expect(throws: Errno.exists) { try SystemCall.mkdir(place["a/.."]) }
            for name in ["a/.", "a/.."] {
                #expect(throws: Errno.busy) { try SystemCall.rename(place[name], place["moved"]) }
            }
        }

        @Test func `forty links in a row are followed, forty-one are ELOOP`() throws {
            try SystemCall.writeFile(place["link0"], "end")
            for index in 1...41 {
                try SystemCall.symlink("link\(index - 1)", place["link\(index)"])
            }
            #expect(try SystemCall.readFile(place["link40"]) == Array("end".utf8))
            #expect(throws: Errno(rawValue: ELOOP)) { try SystemCall.readFile(place["link41"]) }
            try SystemCall.symlink("circle/x", place["circle"])
            for call: () throws -> Void in [
                { _ = try SystemCall.readFile(place["circle"]) },
                { try SystemCall.mkdir(place["circle/y"]) },
                { try SystemCall.unlink(place["circle/y"]) },
                { try SystemCall.chmod(place["circle"], 0o600) },
                { try SystemCall.truncate(place["circle"], 0) },
            ] {
                #expect(throws: Errno(rawValue: ELOOP)) { try call() }
            }
        }

        @Test func `the mount's root is its own parent's child, cannot go and cannot move`() throws
        {
            let root = Mount.current.path
            #expect(throws: Errno.busy) { try SystemCall.rmdir(root) }
            #expect(throws: Errno.busy) { try SystemCall.rename(root, root + ".moved") }
            #expect(throws: Errno.isDirectory) { try SystemCall.unlink(root) }
            #expect(throws: Errno.exists) { try SystemCall.mkdir(root) }
            #expect(throws: Errno.crossDevice) { try SystemCall.rename(root, place["inside"]) }
            #expect(throws: Errno.crossDevice) {
                try SystemCall.writeFile(place["file"])
                try SystemCall.rename(place["file"], "/tmp/apusfs-elsewhere")
            }
            #expect(throws: Errno.crossDevice) {
                try SystemCall.link(place["file"], "/tmp/apusfs-elsewhere")
            }
        }
    }
}
