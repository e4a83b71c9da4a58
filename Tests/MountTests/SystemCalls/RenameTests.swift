import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct RenameTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a file moves with its inode, its bytes and its links`() throws {
            try SystemCall.writeFile(place["old"], "text")
            try SystemCall.link(place["old"], place["other"])
            try SystemCall.mkdir(place["below"])
            let before = try SystemCall.stat(place["old"])
            try SystemCall.rename(place["old"], place["below/new"])
            let after = try SystemCall.stat(place["below/new"])
            #expect(!SystemCall.exists(place["old"]))
            #expect(after.st_ino == before.st_ino)
            #expect(after.st_nlink == 2)
            #expect(try SystemCall.readFile(place["below/new"]) == Array("text".utf8))
        }

        @Test func `over a file, which stays readable where it is open`() throws {
            try SystemCall.writeFile(place["old"], "old")
            try SystemCall.writeFile(place["new"], "new")
            let open = try Descriptor(place["old"], O_RDWR)
            try SystemCall.rename(place["new"], place["old"])
            #expect(try SystemCall.readFile(place["old"]) == Array("new".utf8))
            #expect(try open.read(10) == Array("old".utf8))
            try open.write(Array("more".utf8))
            #expect(try open.read(10, at: 0) == Array("oldmore".utf8))
            #expect(try open.status().st_nlink == 0)
        }

        @Test func `two names of one inode both stay`() throws {
            try SystemCall.writeFile(place["one"], "x")
            try SystemCall.link(place["one"], place["two"])
            try SystemCall.rename(place["one"], place["two"])
            #expect(SystemCall.exists(place["one"]))
            #expect(SystemCall.exists(place["two"]))
            #expect(try SystemCall.stat(place["one"]).st_nlink == 2)
            try SystemCall.rename(place["one"], place["one"])
            #expect(SystemCall.exists(place["one"]))
        }

        @Test func `a directory takes its content along and its parents' link counts follow`()
            throws
        {
            try SystemCall.mkdir(place["from"])
            try SystemCall.mkdir(place["to"])
            try SystemCall.mkdir(place["from/directory"])
            try SystemCall.writeFile(place["from/directory/file"], "text")
            try SystemCall.rename(place["from/directory"], place["to/moved"])
            #expect(try SystemCall.readFile(place["to/moved/file"]) == Array("text".utf8))
            #expect(try SystemCall.stat(place["from"]).st_nlink == 2)
            #expect(try SystemCall.stat(place["to"]).st_nlink == 3)
            #expect(
                try SystemCall.stat(place["to/moved/.."]).st_ino
                    == SystemCall.stat(place["to"]).st_ino)
        }

        @Test func `over a directory only if that is empty`() throws {
            for name in ["source", "empty", "full", "full/file"] {
                try SystemCall.mkdir(place[name])
            }
            #expect(throws: Errno.directoryNotEmpty) {
                try SystemCall.rename(place["source"], place["full"])
            }
            try SystemCall.rename(place["source"], place["empty"])
            #expect(!SystemCall.exists(place["source"]))
            #expect(try SystemCall.stat(place.path).st_nlink == 4)
        }

        @Test func `a file over a directory is EISDIR, a directory over a file ENOTDIR`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["directory"])
            #expect(throws: Errno.isDirectory) {
                try SystemCall.rename(place["file"], place["directory"])
            }
            #expect(throws: Errno.notDirectory) {
                try SystemCall.rename(place["directory"], place["file"])
            }
        }

        @Test func `a directory into itself or below itself is EINVAL`() throws {
            try SystemCall.mkdir(place["a"])
            try SystemCall.mkdir(place["a/b"])
            try SystemCall.mkdir(place["a/b/c"])
            for target in ["a/x", "a/b/x", "a/b/c/x"] {
                #expect(throws: Errno.invalid) { try SystemCall.rename(place["a"], place[target]) }
            }
            #expect(throws: Errno.directoryNotEmpty) {
                try SystemCall.rename(place["a/b/c"], place["a"])
            }
            #expect(SystemCall.exists(place["a/b/c"]))
        }

        @Test func `a missing name is ENOENT, whatever the target`() throws {
            try SystemCall.writeFile(place["kept"], "kept")
            #expect(throws: Errno.noEntry) {
                try SystemCall.rename(place["missing"], place["kept"])
            }
            #expect(throws: Errno.noEntry) {
                try SystemCall.rename(place["kept"], place["missing/kept"])
            }
            #expect(try SystemCall.readFile(place["kept"]) == Array("kept".utf8))
        }

        @Test func `RENAME_NOREPLACE refuses a name that is there`() throws {
            try SystemCall.writeFile(place["one"], "1")
            try SystemCall.writeFile(place["two"], "2")
            let flags = UInt32(APUSFS_RENAME_NOREPLACE)
            #expect(throws: Errno.exists) {
                try SystemCall.rename(place["one"], place["two"], flags: flags)
            }
            #expect(try SystemCall.readFile(place["two"]) == Array("2".utf8))
            try SystemCall.rename(place["one"], place["three"], flags: flags)
            #expect(try SystemCall.readFile(place["three"]) == Array("1".utf8))
            #expect(!SystemCall.exists(place["one"]))
        }

        @Test func `RENAME_EXCHANGE swaps a file and a full directory`() throws {
            for name in ["left", "right"] { try SystemCall.mkdir(place[name]) }
            try SystemCall.writeFile(place["left/file"], "text")
            try SystemCall.mkdir(place["right/directory"])
            try SystemCall.writeFile(place["right/directory/inner"], "inner")
            let flags = UInt32(APUSFS_RENAME_EXCHANGE)
            try SystemCall.rename(place["left/file"], place["right/directory"], flags: flags)
            #expect(try SystemCall.readFile(place["right/directory"]) == Array("text".utf8))
            #expect(try SystemCall.readFile(place["left/file/inner"]) == Array("inner".utf8))
            #expect(try SystemCall.stat(place["left"]).st_nlink == 3)
            #expect(try SystemCall.stat(place["right"]).st_nlink == 2)
            #expect(
                try SystemCall.stat(place["left/file/.."]).st_ino
                    == SystemCall.stat(place["left"]).st_ino)
        }

        @Test func `RENAME_EXCHANGE needs both names, and no ancestor among them`() throws {
            try SystemCall.mkdir(place["a"])
            try SystemCall.mkdir(place["a/b"])
            let flags = UInt32(APUSFS_RENAME_EXCHANGE)
            #expect(throws: Errno.noEntry) {
                try SystemCall.rename(place["a"], place["missing"], flags: flags)
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.rename(place["a"], place["a/b"], flags: flags)
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.rename(place["a/b"], place["a"], flags: flags)
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.rename(
                    place["a"], place["x"], flags: flags | UInt32(APUSFS_RENAME_NOREPLACE))
            }
        }

        @Test func `the times of both directories and the ctime of what moved advance`() throws {
            for name in ["from", "to"] { try SystemCall.mkdir(place[name]) }
            try SystemCall.writeFile(place["from/file"])
            let file = try SystemCall.stat(place["from/file"])
            for name in ["from", "to"] {
                try SystemCall.setTimes(place[name], access: (5, 0), modification: (5, 0))
            }
            try SystemCall.rename(place["from/file"], place["to/file"])
            for name in ["from", "to"] {
                #expect(try SystemCall.stat(place[name]).modificationTime.seconds > 5)
            }
            #expect(try SystemCall.stat(place["to/file"]).changeTime > file.changeTime)
            #expect(try SystemCall.stat(place["to/file"]).modificationTime == file.modificationTime)
        }

        @Test func `in a sticky directory only an owner renames`() throws {
            try SystemCall.mkdir(place["tmp"])
            try SystemCall.chmod(place["tmp"], 0o1777)
            try Person.alice.run { try SystemCall.writeFile(place["tmp/hers"]) }
            try Person.bob.run {
                try SystemCall.writeFile(place["tmp/his"])
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.rename(place["tmp/hers"], place["tmp/taken"])
                }
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.rename(place["tmp/his"], place["tmp/hers"])
                }
                try SystemCall.rename(place["tmp/his"], place["tmp/still-his"])
            }
        }

        @Test func `a path that leads nowhere or through what is closed is refused`() throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.mkdir(place["fixed"], 0o755)
            try SystemCall.symlink("loop", place["loop"])
            #expect(throws: Errno.noEntry) { try SystemCall.rename(place["file"], "") }
            #expect(throws: Errno.noEntry) { try SystemCall.rename("", place["new"]) }
            #expect(throws: Errno.notDirectory) {
                try SystemCall.rename(place["file"], place["file/x"])
            }
            #expect(throws: Errno.notDirectory) {
                try SystemCall.rename(place["file"], place["new/"])
            }
            #expect(throws: Errno(rawValue: ELOOP)) {
                try SystemCall.rename(place["loop/x"], place["new"])
            }
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.rename(place["file"], place["fixed/x"])
                }
            }
            #expect(try SystemCall.readFile(place["file"]) == Array("text".utf8))
        }

        @Test func `RENAME_WHITEOUT leaves a device 0 0 in the old place`() throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.writeFile(place["old"], "old")
            let flags = UInt32(APUSFS_RENAME_WHITEOUT)
            try SystemCall.rename(place["file"], place["moved"], flags: flags)
            #expect(try SystemCall.readFile(place["moved"]) == Array("text".utf8))
            let whiteout = try SystemCall.lstat(place["file"])
            #expect(whiteout.kind == S_IFCHR)
            #expect(whiteout.st_rdev == 0)
            try SystemCall.rename(place["old"], place["moved"], flags: flags)
            #expect(try SystemCall.readFile(place["moved"]) == Array("old".utf8))
            #expect(throws: Errno.exists) {
                try SystemCall.rename(
                    place["moved"], place["old"], flags: flags | UInt32(APUSFS_RENAME_NOREPLACE))
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.rename(
                    place["moved"], place["old"], flags: flags | UInt32(APUSFS_RENAME_EXCHANGE))
            }
            #expect(try Listing.names(place.path) == [".", "..", "file", "moved", "old"])
        }
    }
}
