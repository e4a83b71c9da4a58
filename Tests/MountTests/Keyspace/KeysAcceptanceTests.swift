import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// What redisfuse (2011) was accepted by, and what its page promised.
    @Suite struct KeysAcceptanceTests {
        @Test(arguments: ["fields", "directory"])
        func `a git repository in the view survives a remount and can be cloned`(
            hashes: String
        ) throws {
            try withKeys(flags: ["--write", "--hashes", hashes]) { (view) throws in
                try view.shell(
                    """
                    echo 1 > one; echo 2 > two.txt; printf three > three
                    git init --quiet --initial-branch main work
                    cd work; mkdir d; cp ../one ../two.txt ../three d; cp d/* .
                    git add .; git commit --quiet --message first
                    git fsck --full --strict
                    cd ..; git clone --quiet work clone; cd clone; git fsck --full --strict
                    """)
                let outside = view.directory + "/outside"
                try view.shell("git clone --quiet work \(outside); cd \(outside); git fsck --full")
                try view.remount()
                try view.shell("cd work; git fsck --full --strict; cd ../clone; git fsck --full")
                #expect(try view.shell("cd work; git status --porcelain") == "")
                #expect(try view.shell("cd clone; git status --porcelain") == "")
                try view.shell("cd work; git gc --quiet; git fsck --full --strict")
                try view.shell("diff -r work/d \(outside)/d; rm -rf clone; test ! -e clone")
            }
        }

        @Test func `new names become strings and fields by their dots`() throws {
            try withKeys { (view) throws in
                try view.shell(
                    """
                    echo hi > hello.hello; echo hi > dummy; echo hi > dummy.data
                    mkdir -p key1/key2/key3/key4; echo hi > key1/key2/key3/key4/leaf
                    echo hi > some.lock; echo hi > .vimrc; echo hi > .a.b
                    """)
                #expect(try view.cli("HGET", "hello", "hello") == "hi\n")
                #expect(try view.cli("GET", "dummy.data") == "hi\n")
                #expect(try view.cli("GET", "some.lock") == "hi\n")
                #expect(try view.cli("GET", ".vimrc") == "hi\n")
                #expect(try view.cli("HGET", ".a", "b") == "hi\n")
                #expect(try view.cli("GET", "key1:key2:key3:key4:leaf") == "hi\n")
                try view.remount()
                #expect(
                    try view.shell("ls -A") == """
                        .a.b
                        .vimrc
                        dummy
                        dummy.data
                        hello.hello
                        key1
                        some.lock

                        """)
                try view.shell("rm hello.hello; rm -r key1; mv dummy.data moved")
                #expect(try view.cli("EXISTS", "hello", "key1:key2:key3:key4:leaf") == "0")
                #expect(try view.cli("GET", "moved") == "hi\n")
                #expect(throws: Errno.self) { try SystemCall.rmdir(view.path + "/dummy") }
            }
        }

        @Test func `directories live for the mount, and full ones are not removed`() throws {
            try withKeys { (view) throws in
                try view.shell("mkdir -p a/b; test -d a/b; test \"$(ls a)\" = b; echo x > a/b/k")
                #expect(throws: Errno(rawValue: ENOTEMPTY)) {
                    try SystemCall.rmdir(view.path + "/a/b")
                }
                try view.shell("rm a/b/k; test -d a/b; rmdir a/b; rmdir a; test ! -e a; mkdir a")
                try view.remount()
                try view.shell("test ! -e a")
            }
        }

        @Test func `without --write nothing can be changed`() throws {
            try withKeys(
                flags: [], prepare: { try $0.cli("SET", "k", "v") }
            ) { (view) throws in
                let text = try view.shell("cat k")
                #expect(text == "v")
                #expect(throws: Errno(rawValue: EROFS)) {
                    try SystemCall.writeFile(view.path + "/new", "x")
                }
                #expect(throws: Errno(rawValue: EROFS)) { try SystemCall.unlink(view.path + "/k") }
                #expect(
                    try Program.run(["status", view.path]).checked().output.contains("read-only"))
            }
        }

        @Test func `a configuration file holds every option, and flags win`() throws {
            let server = try RedisServer()
            try server.cli("-n", "3", "SET", "shop|a|b", "v")
            let file = server.directory.path + "/keys.conf"
            try """
            # a view
            write
            redis-db = 3
            separator = "|"
            prefix = "shop|"
            hashes = directory
            on_conflict = overwrite
            """.write(toFile: file, atomically: false, encoding: .utf8)
            try withKeys(server, flags: ["--config", file, "--read-only"]) { (view) throws in
                let text = try view.shell("cat a/b")
                #expect(text == "v")
                #expect(throws: Errno(rawValue: EROFS)) {
                    try SystemCall.unlink(view.path + "/a/b")
                }
                #expect(try Program.run(["status"]).checked().output.contains("\(view.path): "))
            }
            try "nonsense = 1\n".write(toFile: file, atomically: false, encoding: .utf8)
            let run = try Program.run(["keys", "unix:///x", "/x", "--config", file])
            #expect(run.status == 64 && run.errors.contains("keys.conf:1: nonsense"))
        }
    }
}
