import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    /// acl(5), through the programs that set and show them, and through what the kernel then allows.
    @Suite struct AccessListTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        /// What getfacl(1) says, without comments and empty lines.
        private func list(_ name: String) throws -> [String] {
            try ProgramRun.run(["getfacl", "-cpEn", place[name]]).checked().output
                .split(separator: "\n").map(String.init)
        }

        private func setfacl(_ words: [String], _ name: String) throws {
            try ProgramRun.run(["setfacl"] + words + [place[name]]).checked()
        }

        @Test func `setfacl and getfacl agree, and permission bits show the mask`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.chmod(place["file"], 0o640)
            #expect(try list("file") == ["user::rw-", "group::r--", "other::---"])
            try setfacl(["-m", "u:60001:rwx,g:60002:r-x,m::r-x"], "file")
            #expect(
                try list("file") == [
                    "user::rw-", "user:60001:rwx", "group::r--", "group:60002:r-x", "mask::r-x",
                    "other::---",
                ])
            #expect(try SystemCall.stat(place["file"]).permissions == 0o650)
            try setfacl(["-b"], "file")
            #expect(try list("file") == ["user::rw-", "group::r--", "other::---"])
            #expect(try SystemCall.stat(place["file"]).permissions == 0o640)
        }

        @Test func `chmod moves the mask, and the named entries stay`() throws {
            try SystemCall.writeFile(place["file"])
            try setfacl(["-m", "u:60001:rwx"], "file")
            try SystemCall.chmod(place["file"], 0o604)
            #expect(
                try list("file") == [
                    "user::rw-", "user:60001:rwx", "group::r--", "mask::---", "other::r--",
                ])
            #expect(try SystemCall.stat(place["file"]).permissions == 0o604)
        }

        @Test func `what an entry allows or the mask takes away is what the kernel lets through`()
            throws
        {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.chmod(place["file"], 0o600)
            #expect(throws: Errno.accessDenied) {
                try Person.alice.run { _ = try SystemCall.readFile(place["file"]) }
            }
            try setfacl(["-m", "u:60001:rw"], "file")
            try Person.alice.run {
                #expect(try SystemCall.readFile(place["file"]) == Array("text".utf8))
                try SystemCall.writeFile(place["file"], "hers")
            }
            #expect(throws: Errno.accessDenied) {
                try Person.bob.run { _ = try SystemCall.readFile(place["file"]) }
            }
            try setfacl(["-m", "m::r"], "file")
            try Person.alice.run { () throws in
                #expect(try SystemCall.readFile(place["file"]) == Array("hers".utf8))
                #expect(throws: Errno.accessDenied) {
                    _ = try Descriptor(place["file"], O_WRONLY)
                }
            }
            // Named users are judged before groups and others.
            try SystemCall.chmod(place["file"], 0o644)
            try setfacl(["-m", "u:60001:-,g::r"], "file")
            #expect(throws: Errno.accessDenied) {
                try Person.alice.run { _ = try SystemCall.readFile(place["file"]) }
            }
            try Person.bob.run { _ = try SystemCall.readFile(place["file"]) }
            // A group that the caller is in besides.
            try setfacl(["-b"], "file")
            try SystemCall.chmod(place["file"], 0o600)
            try setfacl(["-m", "g:60077:r"], "file")
            try Person(60_001, group: 60_001, groups: [60_077]).run {
                _ = try SystemCall.readFile(place["file"])
            }
        }

        @Test func `a default list is inherited by files and directories, in place of the umask`()
            throws
        {
            try SystemCall.mkdir(place["directory"])
            try setfacl(["-d", "-m", "u::rwx,u:60001:rw,g::rx,o::-,m::rwx"], "directory")
            try Person.withMask(0o077) {
                try SystemCall.writeFile(place["directory/file"], [], mode: 0o666)
                try SystemCall.mkdir(place["directory/sub"], 0o777)
                try SystemCall.mkfifo(place["directory/fifo"], 0o660)
                try SystemCall.symlink("file", place["directory/link"])
                try SystemCall.writeFile(place["beside"], [], mode: 0o666)
            }
            #expect(
                try list("directory/file") == [
                    "user::rw-", "user:60001:rw-", "group::r-x", "mask::rw-", "other::---",
                ])
            #expect(try SystemCall.stat(place["directory/file"]).permissions == 0o660)
            #expect(try SystemCall.stat(place["directory/fifo"]).permissions == 0o660)
            #expect(
                try list("directory/sub") == [
                    "user::rwx", "user:60001:rw-", "group::r-x", "mask::rwx", "other::---",
                    "default:user::rwx", "default:user:60001:rw-", "default:group::r-x",
                    "default:mask::rwx", "default:other::---",
                ])
            #expect(try SystemCall.lstat(place["directory/link"]).permissions == 0o777)
            #expect(try SystemCall.stat(place["beside"]).permissions == 0o600)
        }

        @Test func `only the owner sets a list, a file has no default one, a link none at all`()
            throws
        {
            try SystemCall.writeFile(place["file"])
            try SystemCall.symlink("file", place["link"])
            let minimal: [UInt8] =
                [2, 0, 0, 0] + [1, 0, 6, 0, 255, 255, 255, 255] + [4, 0, 4, 0, 255, 255, 255, 255]
                + [32, 0, 4, 0, 255, 255, 255, 255]
            try Person.alice.run {
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.setXattr(place["file"], "system.posix_acl_access", minimal)
                }
            }
            #expect(throws: Errno.accessDenied) {
                try SystemCall.setXattr(place["file"], "system.posix_acl_default", minimal)
            }
            #expect(throws: Errno.notSupported) {
                try SystemCall.setXattr(place["link"], "system.posix_acl_access", minimal)
            }
            #expect(throws: Errno.invalid) {
                try SystemCall.setXattr(
                    place["file"], "system.posix_acl_access", Array(minimal.dropLast(8)))
            }
            #expect(throws: Errno.notSupported) {
                try SystemCall.setXattr(place["file"], "system.other", [1])
            }
            // Removing what is not there is no error (as on ext4).
            try SystemCall.removeXattr(place["file"], "system.posix_acl_access")
        }

        @Test func `lists survive mounting again, cp -a, tar and rsync`() throws {
            try withMount { mount in
                let source = mount.path + "/source"
                try SystemCall.mkdir(source)
                try SystemCall.writeFile(source + "/file", "text")
                try SystemCall.setXattr(source + "/file", "user.note", [1, 2, 3])
                try ProgramRun.run(["setfacl", "-m", "u:60001:rwx", source + "/file"]).checked()
                try ProgramRun.run(["setfacl", "-d", "-m", "g:60002:rx", source]).checked()
                let script = """
                    cd "$1"
                    cp -a source copied
                    tar --xattrs --acls -cf archive source
                    mkdir unpacked && tar --xattrs --acls -xf archive -C unpacked
                    rsync -aHAX --checksum source/ synced
                    """
                try ProgramRun.run(["sh", "-ec", script, "sh", mount.path]).checked()
                try mount.remount()
                func lists(_ directory: String) throws -> String {
                    try ProgramRun.run(
                        [
                            "sh", "-ec", "cd \"$1\"; getfacl -RnE . ; getfattr -R -d .", "sh",
                            directory,
                        ]
                    ).checked().output
                }
                let wanted = try lists(source)
                #expect(wanted.contains("user:60001:rwx"))
                #expect(wanted.contains("default:group:60002:r-x"))
                #expect(wanted.contains("user.note"))
                for copy in ["copied", "unpacked/source", "synced"] {
                    #expect(try lists("\(mount.path)/\(copy)") == wanted, "\(copy)")
                }
            }
        }
    }
}
