import TestSupport
import Testing

extension MountTests {
    @Suite struct GitTests {
        @Test func `a repository of thousands of files is committed, checked and cloned`() throws {
            try withMount { mount in
                let work = mount.path + "/work"
                try Tree(fileCount: Scale.treeFiles, seed: 1).make(at: work)
                try git(["init", "--quiet", "--initial-branch", "main"], in: work)
                try git(["add", "--all"], in: work)
                try git(["commit", "--quiet", "--message", "everything"], in: work)
                try git(["fsck", "--strict"], in: work)
                try git(["clone", "--quiet", "work", "clone"], in: mount.path)
                #expect(try git(["status", "--porcelain"], in: mount.path + "/clone") == "")

                try mount.remount()
                try git(["fsck", "--strict"], in: work)
                #expect(try git(["status", "--porcelain"], in: work) == "")
                try git(["clone", "--quiet", "--no-local", "work", "packed"], in: mount.path)
                try git(["fsck", "--strict"], in: mount.path + "/packed")
                try git(["gc", "--quiet"], in: mount.path + "/clone")
                try git(["fsck", "--strict"], in: mount.path + "/clone")
                for name in ["clone", "packed"] {
                    try ProgramRun.run(
                        [
                            "diff", "-r", "--no-dereference", "--exclude=.git", work,
                            mount.path + "/" + name,
                        ]
                    ).checked()
                }
            }
        }

        @Test func `branches, merges, checkouts and stashes leave a clean tree`() throws {
            try withMount { mount in
                let work = mount.path + "/work"
                try Tree(fileCount: 200, seed: 2).make(at: work)
                try git(["init", "--quiet", "--initial-branch", "main"], in: work)
                try git(["add", "--all"], in: work)
                try git(["commit", "--quiet", "--message", "first"], in: work)
                try git(["checkout", "--quiet", "-b", "side"], in: work)
                try SystemCall.writeFile(work + "/side", "side\n")
                try git(["add", "side"], in: work)
                try git(["commit", "--quiet", "--message", "side"], in: work)
                try git(["checkout", "--quiet", "main"], in: work)
                #expect(!SystemCall.exists(work + "/side"))
                try SystemCall.writeFile(work + "/main", "main\n")
                try git(["add", "main"], in: work)
                try git(["stash", "--quiet"], in: work)
                #expect(!SystemCall.exists(work + "/main"))
                try git(["stash", "pop", "--quiet"], in: work)
                try git(["commit", "--quiet", "--message", "main"], in: work)
                try git(["merge", "--quiet", "--no-edit", "side"], in: work)
                try git(["mv", "side", "moved"], in: work)
                try git(["commit", "--quiet", "--message", "moved"], in: work)
                try git(["repack", "-a", "-d", "--quiet"], in: work)
                try mount.remount()
                try git(["fsck", "--strict"], in: work)
                #expect(try git(["status", "--porcelain"], in: work) == "")
                #expect(try git(["log", "--oneline"], in: work).split(separator: "\n").count == 5)
            }
        }

        /// What git prints. No configuration of the machine plays a part, and nothing stays in the background.
        @discardableResult
        private func git(_ words: [String], in directory: String) throws -> String {
            let environment = [
                "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
                "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
                "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gc.autoDetach",
                "GIT_CONFIG_VALUE_0": "false",
            ]
            return try ProgramRun.run(["git"] + words, in: directory, environment: environment)
                .checked().output
        }
    }
}
