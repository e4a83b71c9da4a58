import Foundation
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// What people do with files.
    @Suite struct KeysProgramsTests {
        private static func fill(_ server: RedisServer) throws {
            for words in [
                [
                    "MSET", "user:1:name", "bob", "user:1", "self", "user:2:name", "eve", "plain",
                    "hello",
                ],
                ["SET", "note.txt", "hello world\n", "EX", "5000"],
                ["SET", "conf", "one\n", "EX", "5000"],
                ["HSET", "h", "f1", "v1", "f2", "v2"],
                ["RPUSH", "list", "a", "b\\c", "two\nlines"],
                ["ZADD", "z", "1.5", "m", "2", "n"], ["SADD", "s", "q", "w", "e"],
                ["XADD", "st", "5-1", "f", "v"], ["EXPIRE", "list", "5000"],
            ] { try server.cli(words: words) }
        }

        @Test func `everything can be read and found`() throws {
            try withKeys(flags: [], prepare: Self.fill) { (view) throws in
                #expect(
                    try view.shell("grep -r . | LC_ALL=C sort") == """
                        conf:one
                        h.f1:v1
                        h.f2:v2
                        list:a
                        list:b\\\\c
                        list:two\\nlines
                        note.txt:hello world
                        plain:hello
                        s:e
                        s:q
                        s:w
                        st:5-1\tf\tv
                        user/1%value:self
                        user/1/name:bob
                        user/2/name:eve
                        z:1.5\tm
                        z:2\tn

                        """)
                #expect(try view.shell("getfattr --only-values -n user.redis.type z") == "zset")
            }
        }

        @Test func `editors save in place and by renaming, and the expiry stays`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let before = try view.dump()
                let editor = "vi -Nu NONE -es"
                try view.shell(
                    """
                    sed -i 's/one/two/' conf
                    \(editor) -c '%s/world/there/' -c wq note.txt
                    \(editor) -c 'set backup backupcopy=no' -c '%s/two/three/' -c wq conf
                    \(editor) -c '%s/v1/v9/' -c wq h.f1
                    rm -f conf~
                    """)
                #expect(try view.cli("GET", "note.txt") == "hello there\n")
                #expect(try view.cli("GET", "conf") == "three\n")
                #expect(try view.cli("HGET", "h", "f1") == "v9\n")
                // No swap file, probe or backup is left, and no other key has changed.
                let after = try view.dump()
                #expect(Set(before.keys) == Set(after.keys))
                #expect(before.filter { after[$0.key] != $0.value }.count == 3)
                for key in ["conf", "note.txt"] {
                    #expect(try Int(view.cli("TTL", key)).map { $0 > 4_000 } == true, "\(key)")
                }
            }
        }

        /// Vim in a terminal, with its swap file and a backup, made by copying or by renaming. Its saves go on
        /// only while the file is the one that it has read: the number of the inode has to stay.
        @Test(arguments: ["yes", "no", "auto"])
        func `vim saves with swap file and backup, and nothing else changes`(
            copies: String
        ) throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                try ProgramRun.run(["mkfifo", view.directory + "/typed"]).checked()
                let files = [("note.txt", "note.txt"), ("conf", "conf"), ("h.f1", "h")]
                for round in 1...3 {
                    for (file, key) in files {
                        let before = try view.dump()
                        let kept = try SystemCall.readFile(view.path + "/" + file)
                        try view.shell(
                            """
                            export TERM=xterm; out=\(view.directory)
                            script -qec "$(command -v vim || echo vim.tiny) -Nu NONE \
                                --cmd 'set swapfile backup backupcopy=\(copies) backupskip=' \
                                -c '%s/.*/\(file) \(round)/' \
                                -c 'silent !ls -A > $out/during' -c wq \(file)" \
                                /dev/null <> $out/typed > $out/screen
                            grep -q swp $out/during
                            """)
                        #expect(try SystemCall.readFile(view.path + "/\(file)~") == kept)
                        let new = Array("\(file) \(round)\n".utf8)
                        #expect(try SystemCall.readFile(view.path + "/" + file) == new)
                        try view.shell("rm \(file)~")
                        let after = try view.dump()
                        let changed = before.filter { after[$0.key] != $0.value }
                        #expect(Set(before.keys) == Set(after.keys) && changed.count == 1)
                        let ttl = try Int(view.cli("TTL", key)) ?? 0
                        #expect(ttl > 4_000 || key == "h", "\(file), round \(round)")
                    }
                }
                #expect(try view.cli("TYPE", "note.txt") == "string")
                #expect(try view.cli("HGET", "h", "f2") == "v2")
            }
        }

        @Test func `what is no text of its own is not replaced by one`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let before = try view.dump()
                for script in [
                    "echo x > list", "echo x >> z", "sed -i s/a/b/ list", "rm -f s", "mv st other",
                    "mv plain list", "vi -Nu NONE -es -c '%s/a/b/' -c 'wq!' list", "echo x > h",
                    "mv plain h",
                ] {
                    let run = try ProgramRun.run(["sh", "-c", script], in: view.path)
                    #expect(run.status != 0, "\(script)")
                }
                #expect(try view.dump() == before)
            }
        }

        @Test func `lists and the like can be removed and renamed where that was allowed`() throws {
            try withKeys(flags: ["--write", "--remove-any-type"], prepare: Self.fill) {
                (view) throws in
                try view.shell("mv list user/moved.list; rm s; mv z st")
                #expect(try view.cli("LLEN", "user:moved.list") == "3")
                #expect(try view.cli("TYPE", "st") == "zset")
                #expect(try view.cli("EXISTS", "s", "z", "list") == "0")
                #expect(try Int(view.cli("TTL", "user:moved.list")).map { $0 > 4_000 } == true)
            }
        }

        @Test func `a tree copied out and back in is the same`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let out = view.directory + "/out"
                try view.shell(
                    """
                    mkdir tree; cp -r user tree; cp plain note.txt h.f1 tree
                    cp -r tree \(out); diff -r tree \(out)
                    rm -r tree; test ! -e tree
                    cp -r \(out) tree; diff -r tree \(out)
                    """)
                #expect(try view.cli("GET", "tree:user:1:name") == "bob")
                #expect(try view.cli("GET", "tree:user:1") == "self")
                #expect(try view.cli("HGET", "tree:h", "f1") == "v1")
            }
        }

        @Test func `programs append at once, and lock each other out`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                let lines = try view.shell(
                    """
                    seq 200 | xargs -P 4 -I{} sh -c 'echo {} >> log'
                    sort -u log | wc -l | tr -d ' \\n'
                    """)
                #expect(lines == "200")
                try view.shell("flock conf sh -c '! flock --nonblock conf true'")
                try view.shell("flock --shared conf flock --shared --nonblock conf true")
            }
        }

        @Test func `jq reads what is shown as JSON`() throws {
            try withKeys(flags: ["--format", "json"], prepare: Self.fill) { (view) throws in
                #expect(try view.shell("jq -r '.[1]' list") == "b\\c\n")
                #expect(try view.shell("jq -r '.[2]' list") == "two\nlines\n")
                #expect(try view.shell("jq -c 'map(.score) | add' z") == "3.5\n")
                #expect(try view.shell("jq -r '.[0].fields[0][1]' st") == "v\n")
                #expect(try view.shell("jq -c . s") == "[\"e\",\"q\",\"w\"]\n")
            }
        }

        @Test func `what the server knows of a key are attributes`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                try view.shell("getfattr -d -m - conf h.f1 z > \(view.directory)/out")
                let names = try SystemCall.listXattrs(view.path + "/conf")
                #expect(
                    names.sorted()
                        == ["encoding", "idle", "key", "memory", "ttl", "type"].map {
                            "user.redis.\($0)"
                        })
                let questions = [
                    ("encoding", ["OBJECT", "ENCODING"]), ("memory", ["MEMORY", "USAGE"]),
                ]
                for key in ["conf", "z", "st"] {
                    for (name, words) in questions {
                        let value = try SystemCall.getXattr(
                            view.path + "/" + key, "user.redis." + name)
                        let told = try view.server.cli(words: words + [key])
                        #expect(String(decoding: value, as: UTF8.self) == told, "\(name) of \(key)")
                    }
                    let idle = try SystemCall.getXattr(view.path + "/" + key, "user.redis.idle")
                    #expect(Int(String(decoding: idle, as: UTF8.self)).map { $0 < 60 } == true)
                }
                let field = try SystemCall.getXattr(view.path + "/h.f1", "user.redis.field")
                #expect(field == Array("f1".utf8))
            }
        }

        @Test func `the expiry is an attribute that can be set`() throws {
            try withKeys(prepare: Self.fill) { (view) throws in
                try view.shell("setfattr -n user.redis.ttl -v 100.5 plain")
                #expect(try Int(view.cli("TTL", "plain")).map { (90...101).contains($0) } == true)
                try view.shell(
                    "setfattr -x user.redis.ttl plain; setfattr -n user.redis.ttl -v -1 conf")
                #expect(try view.cli("TTL", "plain") == "-1")
                #expect(try view.cli("TTL", "conf") == "-1")
                for value in ["0", "x", "-5"] {
                    #expect(throws: Errno(rawValue: EINVAL)) {
                        try SystemCall.setXattr(
                            view.path + "/plain", "user.redis.ttl", Array(value.utf8))
                    }
                }
            }
        }
    }
}
