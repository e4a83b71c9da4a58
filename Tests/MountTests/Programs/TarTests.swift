import Glibc
import TestSupport
import Testing

extension MountTests {
    @Suite struct TarTests {
        @Test func `an archive unpacks to what was packed, with modes, times and links`() throws {
            let local = try TemporaryDirectory(prefix: "apusfs-tar")
            let source = local.path + "/tree"
            try Tree(fileCount: Scale.treeFiles, seed: 3).make(at: source)
            try addSpecialFiles(to: source)
            let archive = local.path + "/archive.tar"
            try tar([
                "--create", "--format=posix", "--file", archive, "--directory", local.path, "tree",
            ])

            try withMount { mount in
                try tar(["--extract", "--file", archive, "--directory", mount.path])
                try check(mount.path, archive: archive, source: source)
                try mount.remount()
                try check(mount.path, archive: archive, source: source)

                try tar(
                    ["--create", "--format=posix", "--file", mount.path + "/again.tar", "tree"],
                    in: mount.path)
                try SystemCall.mkdir(mount.path + "/again")
                try tar(["--extract", "--file", "../again.tar"], in: mount.path + "/again")
                #expect(try differences(source, mount.path + "/again/tree") == "")
                try ProgramRun.run(["rm", "-rf", mount.path + "/tree"]).checked()
                #expect(try Listing.names(mount.path) == [".", "..", "again", "again.tar"])
            }
        }

        @Test func `cp -a keeps everything that find can see`() throws {
            try withMount { mount in
                let local = try TemporaryDirectory(prefix: "apusfs-cp")
                let source = local.path + "/tree"
                try Tree(fileCount: 300, seed: 4).make(at: source)
                try addSpecialFiles(to: source)
                try ProgramRun.run(["cp", "-a", source, mount.path]).checked()
                try ProgramRun.run(["cp", "-a", mount.path + "/tree", mount.path + "/copy"])
                    .checked()
                try mount.remount()
                #expect(try differences(source, mount.path + "/copy") == "")
            }
        }

        /// What differs by find(1): mode, owner, links, time to the second, size, target.
        private func differences(_ left: String, _ right: String) throws -> String {
            let script = """
                list() {
                    cd "$1" && find . \\( -type d -printf '%p %m %U:%G %T@\\n' \\) \
                        -o -printf '%p %m %U:%G %n %s %T@ %l\\n' | sort
                }
                list "$1" > "$3/left" && list "$2" > "$3/right" && diff "$3/left" "$3/right"
                """
            let files = try TemporaryDirectory(prefix: "apusfs-find")
            return try ProgramRun.run(["sh", "-c", script, "sh", left, right, files.path]).output
        }

        private func addSpecialFiles(to path: String) throws {
            try SystemCall.writeFile(path + "/one-of-two", "linked")
            try SystemCall.link(path + "/one-of-two", path + "/two-of-two")
            try SystemCall.mknod(path + "/fifo", S_IFIFO | 0o640)
            try SystemCall.mknod(path + "/device", S_IFCHR | 0o600, device: 1 << 8 | 3)
            try SystemCall.writeFile(path + "/setuid", "program")
            try SystemCall.chown(path + "/setuid", user: 60_001, group: 60_002)
            try SystemCall.chmod(path + "/setuid", 0o6755)
            try SystemCall.mkdir(path + "/sticky")
            try SystemCall.chmod(path + "/sticky", 0o1777)
            let sparse = try Descriptor(path + "/sparse", O_WRONLY | O_CREAT)
            try sparse.write(Array("end".utf8), at: 3_000_000)
        }

        private func check(_ path: String, archive: String, source: String) throws {
            try ProgramRun.run(
                [
                    "diff", "-r", "--no-dereference", "-x", "fifo", "-x", "device", source,
                    path + "/tree",
                ]
            ).checked()
            try tar(["--compare", "--file", archive, "--directory", path])
        }

        private func tar(_ words: [String], in directory: String? = nil) throws {
            try ProgramRun.run(["tar"] + words, in: directory).checked()
        }
    }
}
