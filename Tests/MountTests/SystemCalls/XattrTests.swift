import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct XattrTests {
        let place: Place

        init() throws {
            place = try Mount.current.makePlace()
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["directory"])
        }

        @Test(arguments: ["user.name", "trusted.name", "security.name"], ["file", "directory"])
        func `a value of any bytes comes back`(attribute: String, name: String) throws {
            let path = place[name]
            for value in [[], [0], Array(0...255), Bytes.pattern(4_000, seed: 2)] {
                try SystemCall.setXattr(path, attribute, value)
                #expect(try SystemCall.getXattr(path, attribute) == value)
                #expect(try SystemCall.getXattr(path, attribute, capacity: 0).count == value.count)
            }
            #expect(try SystemCall.listXattrs(path).contains(attribute))
            try SystemCall.removeXattr(path, attribute)
            #expect(throws: Errno.noAttribute) { try SystemCall.getXattr(path, attribute) }
        }

        @Test func `XATTR_CREATE wants it absent, XATTR_REPLACE present`() throws {
            let create = Int32(APUSFS_XATTR_CREATE)
            let replace = Int32(APUSFS_XATTR_REPLACE)
            let path = place["file"]
            #expect(throws: Errno.noAttribute) {
                try SystemCall.setXattr(path, "user.x", [1], flags: replace)
            }
            try SystemCall.setXattr(path, "user.x", [1], flags: create)
            #expect(throws: Errno.exists) {
                try SystemCall.setXattr(path, "user.x", [2], flags: create)
            }
            try SystemCall.setXattr(path, "user.x", [3], flags: replace)
            #expect(try SystemCall.getXattr(path, "user.x") == [3])
        }

        @Test func `too little room is ERANGE, a missing one ENODATA`() throws {
            try SystemCall.setXattr(place["file"], "user.x", [1, 2, 3])
            #expect(throws: Errno.outOfRange) {
                try SystemCall.getXattr(place["file"], "user.x", capacity: 2)
            }
            #expect(try SystemCall.getXattr(place["file"], "user.x", capacity: 3) == [1, 2, 3])
            #expect(throws: Errno.noAttribute) { try SystemCall.getXattr(place["file"], "user.y") }
            #expect(throws: Errno.noAttribute) {
                try SystemCall.removeXattr(place["file"], "user.y")
            }
        }

        @Test func `a name of 255 bytes is kept, a longer one ERANGE, a value over 64 KiB E2BIG`()
            throws
        {
            let longest = "user." + String(repeating: "n", count: 250)
            try SystemCall.setXattr(place["file"], longest, [1])
            #expect(try SystemCall.listXattrs(place["file"]).contains(longest))
            #expect(throws: Errno.outOfRange) {
                try SystemCall.setXattr(place["file"], longest + "n", [1])
            }
            #expect(throws: Errno.argumentListTooLong) {
                try SystemCall.setXattr(
                    place["file"], "user.x", [UInt8](repeating: 0, count: 65_537))
            }
        }

        @Test func `an unknown namespace is EOPNOTSUPP`() {
            #expect(throws: Errno.notSupported) {
                try SystemCall.setXattr(place["file"], "unknown.x", [1])
            }
        }

        @Test func `fifty attributes are listed, and go with the file`() throws {
            for index in 0..<50 {
                try SystemCall.setXattr(
                    place["file"], "user.\(index)", Array("value \(index)".utf8))
            }
            let names = try SystemCall.listXattrs(place["file"]).filter { $0.hasPrefix("user.") }
            #expect(names.sorted() == (0..<50).map { "user.\($0)" }.sorted())
            try SystemCall.unlink(place["file"])
            try SystemCall.writeFile(place["file"])
            #expect(try SystemCall.listXattrs(place["file"]).filter { $0.hasPrefix("user.") } == [])
        }

        @Test func `user attributes follow the permissions of the file`() throws {
            try SystemCall.setXattr(place["file"], "user.x", [1])
            try SystemCall.chmod(place["file"], 0o600)
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.getXattr(place["file"], "user.x")
                }
            }
            try SystemCall.chmod(place["file"], 0o644)
            try Person.alice.run { () throws in
                #expect(try SystemCall.getXattr(place["file"], "user.x") == [1])
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.setXattr(place["file"], "user.x", [2])
                }
            }
        }

        @Test func `trusted attributes are root's, user attributes are not for symbolic links`()
            throws
        {
            try SystemCall.setXattr(place["file"], "trusted.x", [1])
            try SystemCall.symlink("file", place["link"])
            #expect(throws: Errno.notPermitted) {
                try SystemCall.setXattr(place["link"], "user.x", [1])
            }
            try Person.alice.run { () throws in
                #expect(throws: Errno.noAttribute) {
                    try SystemCall.getXattr(place["file"], "trusted.x")
                }
            }
        }

        @Test func `setting and removing move ctime`() throws {
            let before = try SystemCall.stat(place["file"]).changeTime
            try SystemCall.setXattr(place["file"], "user.x", [1])
            let set = try SystemCall.stat(place["file"]).changeTime
            try SystemCall.removeXattr(place["file"], "user.x")
            let removed = try SystemCall.stat(place["file"]).changeTime
            #expect(before < set)
            #expect(set < removed)
        }

        @Test func `names beyond 64 KiB in all cannot be listed, but read and written`() throws {
            let name = "user." + String(repeating: "n", count: 240)
            for index in 0..<264 { try SystemCall.setXattr(place["file"], "\(name)\(index)", [1]) }
            #expect(throws: Errno.argumentListTooLong) {
                try SystemCall.listXattrs(place["file"])
            }
            #expect(try SystemCall.getXattr(place["file"], "\(name)263") == [1])
            try SystemCall.removeXattr(place["file"], "\(name)263")
        }

        @Test func `an unprivileged caller is not shown trusted attributes`() throws {
            try SystemCall.setXattr(place["file"], "trusted.x", [1])
            try SystemCall.setXattr(place["file"], "user.x", [1])
            try Person.alice.run { () throws in
                let names = try SystemCall.listXattrs(place["file"])
                #expect(names.filter { $0.hasPrefix("trusted.") } == [])
                #expect(names.contains("user.x"))
            }
        }

        @Test func `file capabilities go with a write, a truncation and a change of owner`() throws
        {
            // VFS_CAP_REVISION_2 with CAP_NET_RAW permitted (linux/capability.h).
            let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20] + [UInt8](repeating: 0, count: 14)
            let path = place["file"]
            let actions: [() throws -> Void] = [
                { try SystemCall.writeFile(path, "text") },
                { try SystemCall.truncate(path, 2) },
                { try SystemCall.chown(path, user: 60_001) },
                {
                    let file = try Descriptor(path, O_WRONLY)
                    try file.write([1], at: 0)
                },
            ]
            for action in actions {
                try SystemCall.setXattr(path, "security.capability", capability)
                #expect(try SystemCall.getXattr(path, "security.capability") == capability)
                try action()
                #expect(throws: Errno.noAttribute) {
                    try SystemCall.getXattr(path, "security.capability")
                }
            }
        }

        @Test func `a codec of its own is checked, inherited and removed`() throws {
            let name = "user.apusfs.codec"
            let directory = place["directory"]
            #expect(throws: Errno.noAttribute) { try SystemCall.getXattr(directory, name) }
            for value in ["", "gzip", "zlib:0", "lz4 "] {
                #expect(throws: Errno.invalid) {
                    try SystemCall.setXattr(directory, name, Array(value.utf8))
                }
            }
            #expect(throws: Errno.noAttribute) { try SystemCall.removeXattr(directory, name) }
            try SystemCall.setXattr(directory, name, Array("zlib".utf8))
            try SystemCall.writeFile(place["directory/file"], Bytes.text(300_000, seed: 5))
            try SystemCall.mkdir(place["directory/below"])
            try SystemCall.symlink("file", place["directory/link"])
            for made in ["directory", "directory/file", "directory/below"] {
                #expect(try SystemCall.getXattr(place[made], name) == Array("zlib:6".utf8))
                #expect(try SystemCall.listXattrs(place[made]) == [name])
            }
            #expect(throws: Errno.exists) {
                try SystemCall.setXattr(
                    directory, name, Array("lz4".utf8), flags: Int32(APUSFS_XATTR_CREATE))
            }
            // Between two halves of the contents, in the middle of a block.
            let file = place["directory/file"]
            try SystemCall.setXattr(file, name, Array("none".utf8))
            let half = Bytes.text(150_000, seed: 6)
            let descriptor = try Descriptor(file, O_RDWR)
            #expect(try descriptor.write(half, at: 100_000) == half.count)
            try descriptor.close()
            #expect(
                try SystemCall.readFile(file)
                    == Bytes.text(300_000, seed: 5)[..<100_000] + half
                    + Bytes.text(300_000, seed: 5)[250_000...])
            try SystemCall.removeXattr(file, name)
            #expect(try SystemCall.listXattrs(file) == [])
            #expect(throws: Errno.noAttribute) { try SystemCall.getXattr(file, name) }
        }

        @Test func `an empty name, one without a namespace and unknown flags are refused`() {
            for name in ["", "user", "user."] {
                #expect(throws: (any Error).self) {
                    try SystemCall.setXattr(place["file"], name, [1])
                }
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.setXattr(place["file"], "user.x", [1], flags: 4)
            }
            #expect(throws: Errno.noEntry) {
                try SystemCall.setXattr(place["missing"], "user.x", [1])
            }
        }
    }
}
