import CLinux
import Glibc
import Primitives
import Testing

extension MountTests {
    /// `--read-only`: everything can be read, every change is EROFS.
    @Suite struct ReadOnlyTests {
        @Test(arguments: ["--read-only", "-oro"])
        func `everything can be read and every change is EROFS`(flag: String) throws {
            try withMount { mount in
                let path = { (name: String) in "\(mount.path)/\(name)" }
                try SystemCall.writeFile(path("file"), Bytes.pattern(200_000, seed: 1))
                try SystemCall.mkdir(path("directory"))
                try SystemCall.symlink("file", path("link"))
                try SystemCall.setXattr(path("file"), "user.x", [1])
                let before = try SystemCall.stat(path("file"))
                try mount.remount([flag])

                #expect(try SystemCall.readFile(path("link")) == Bytes.pattern(200_000, seed: 1))
                #expect(try Listing.names(mount.path) == [".", "..", "directory", "file", "link"])
                #expect(try SystemCall.getXattr(path("file"), "user.x") == [1])
                #expect(try SystemCall.statvfs(mount.path).f_flag & UInt(ST_RDONLY) != 0)
                for (name, change) in Self.changes(path) {
                    #expect(throws: Errno.readOnlyFileSystem, "\(name)") { try change() }
                }
                let after = try SystemCall.stat(path("file"))
                #expect(after.changeTime == before.changeTime)
                #expect(after.accessTime == before.accessTime)
            }
        }

        private static func changes(
            _ path: @escaping (String) -> String
        ) -> [(String, () throws -> Void)] {
            [
                ("open for writing", { _ = try Descriptor(path("file"), O_WRONLY) }),
                ("create", { _ = try Descriptor(path("new"), O_WRONLY | O_CREAT) }),
                ("O_TRUNC", { _ = try Descriptor(path("file"), O_RDONLY | O_TRUNC) }),
                ("mkdir", { try SystemCall.mkdir(path("new")) }),
                ("mknod", { try SystemCall.mknod(path("new"), S_IFIFO | 0o644) }),
                ("symlink", { try SystemCall.symlink("x", path("new")) }),
                ("link", { try SystemCall.link(path("file"), path("new")) }),
                ("unlink", { try SystemCall.unlink(path("file")) }),
                ("rmdir", { try SystemCall.rmdir(path("directory")) }),
                ("rename", { try SystemCall.rename(path("file"), path("new")) }),
                ("chmod", { try SystemCall.chmod(path("file"), 0o600) }),
                ("chown", { try SystemCall.chown(path("file"), user: 1) }),
                ("truncate", { try SystemCall.truncate(path("file"), 0) }),
                (
                    "utimensat",
                    { try SystemCall.setTimes(path("file"), access: (1, 0), modification: (1, 0)) }
                ),
                ("setxattr", { try SystemCall.setXattr(path("file"), "user.y", [1]) }),
                ("removexattr", { try SystemCall.removeXattr(path("file"), "user.x") }),
                ("access", { try SystemCall.access(path("file"), W_OK) }),
            ]
        }
    }
}
