import Glibc
import TestSupport
import Testing

extension MountTests {
    /// One clear line, an exit status that is not zero, and nothing changed in the store.
    @Suite struct BadInputTests {
        /// What is wrong with the words alone.
        struct Mistake: Sendable, CustomTestStringConvertible {
            let words: [String]
            let mention: String
            var testDescription: String { words.joined(separator: " ") }
        }

        static let mistakes = [
            Mistake(words: ["mount", "ftp://host", "/mnt"], mention: "ftp"),
            Mistake(words: ["format", "ftp://host"], mention: "ftp"),
            Mistake(words: ["mount", "redis://host:99999", "/mnt"], mention: "port"),
            Mistake(words: ["mount", "redis://host/x", "/mnt"], mention: "database"),
            Mistake(words: ["mount", "unix://relative.sock", "/mnt"], mention: "absolute"),
            Mistake(words: ["mount", "memory:", "/mnt", "--cache-size", "12Q"], mention: "12Q"),
            Mistake(
                words: ["mount", "memory:", "/mnt", "--cache-size", "-1"], mention: "cache-size"),
            Mistake(
                words: ["mount", "memory:", "/mnt", "--cache-size", "1"], mention: "cache-size"),
            Mistake(words: ["mount", "memory:", "/mnt", "--block-size", "5000"], mention: "4 KiB"),
            Mistake(words: ["mount", "memory:", "/mnt", "--block-size", "0"], mention: "4 KiB"),
            Mistake(words: ["mount", "memory:", "/mnt", "--block-size", "2M"], mention: "1 MiB"),
            Mistake(words: ["format", "redis://host", "--block-size", "1028K"], mention: "1 MiB"),
            Mistake(words: ["format", "redis://host", "--codec", "gzip"], mention: "gzip"),
            Mistake(words: ["format", "redis://host", "--codec", "zlib:10"], mention: "zlib"),
            Mistake(words: ["format", "redis://host", "--volume", "a/b"], mention: "volume"),
            Mistake(words: ["format", "redis://host", "--volume", "a b"], mention: "volume"),
            Mistake(words: ["format", "redis://host", "--volume", "{a}"], mention: "volume"),
            Mistake(words: ["format", "redis://host", "--volume", ""], mention: "volume"),
            Mistake(
                words: ["format", "redis://host", "--volume", String(repeating: "v", count: 65)],
                mention: "64"),
            Mistake(words: ["mount", "memory:", "/mnt", "--volume", "\u{E4}"], mention: "volume"),
            Mistake(words: ["mount", "memory:", "/mnt", "--threads", "many"], mention: "threads"),
            Mistake(words: ["mount", "memory:", "/mnt", "--threads", "0"], mention: "threads"),
            Mistake(words: ["mount", "memory:", "/mnt", "--io-timeout", "soon"], mention: "soon"),
            Mistake(
                words: ["mount", "memory:", "/mnt", "-o", "cach-size=1M"], mention: "cache-size"),
            Mistake(words: ["mount", "memory:", "/mnt", "-o", "nonsense"], mention: "nonsense"),
            Mistake(words: ["mount", "memory:", "/mnt", "--nonsense"], mention: "--nonsense"),
            Mistake(
                words: ["mount", "memory:", "/mnt", "--noatime", "--relatime"], mention: "one of"),
            Mistake(words: ["mount", "memory:"], mention: "mount point is missing"),
            Mistake(words: ["mount"], mention: "nothing to mount"),
            Mistake(words: ["formt", "redis://host"], mention: "formt"),
        ]

        @Test(arguments: mistakes)
        func `wrong words are refused in one line with the status of wrong usage`(
            mistake: Mistake
        ) throws {
            expectRefusal(
                try Program.run(mistake.words), status: Status.usage, mentions: [mistake.mention])
        }

        @Test(arguments: ["unix:///tmp/no-such-directory/redis.sock", "redis://127.0.0.1:1"])
        func `no server is said in one line, and soon`(source: String) throws {
            let place = try TemporaryDirectory()
            expectRefusal(
                try Program.run(["mount", source, place.path], limitSeconds: 20),
                status: Status.mountFailure,
                mentions: [source.contains("unix") ? source : "127.0.0.1"])
            expectRefusal(
                try Program.run(["format", source], limitSeconds: 20), status: Status.failure,
                mentions: ["server"])
            #expect(!Mount.isMountPoint(place.path))
        }

        @Test func `a server that is older than 7.0, or none of Redis, is refused`() throws {
            let place = try TemporaryDirectory()
            let server = try NotRedis(directory: place.path)
            defer { server.stop() }
            expectRefusal(
                try Program.run(["format", "unix://" + server.path], limitSeconds: 40),
                status: Status.failure, mentions: ["unix://"])
        }

        @Test func `a mount point that is missing, a file, in use or not empty is refused`() throws
        {
            let place = try TemporaryDirectory()
            let missing = place.path + "/missing"
            let file = place.path + "/file"
            try SystemCall.writeFile(file)
            for (point, mention) in [
                (missing, "does not exist"), (file, "not a directory"), (place.path, "not empty"),
            ] {
                expectRefusal(
                    try Program.run(["mount", "memory:", point]), status: Status.mountFailure,
                    mentions: [point, mention])
            }
            try withMount(store: .memory) { mount in
                expectRefusal(
                    try Program.run(["mount", "memory:", mount.path]), status: Status.mountFailure,
                    mentions: [mount.path, "already mounted"])
            }
        }

        @Test func `unmounting what is not mounted, or in use, is refused`() throws {
            let place = try TemporaryDirectory()
            let run = try Program.run(["umount", place.path])
            expectRefusal(run, status: run.status, mentions: [place.path])
            #expect(run.status != 0)
            try withMount(store: .memory) { mount in
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                let busy = try Program.run(["umount", mount.path])
                expectRefusal(busy, status: busy.status, mentions: [mount.path, "in use"])
                #expect(busy.status != 0)
                try file.write([1])
                try file.close()
            }
        }

        @Test func `without /dev/fuse the line says what to do`() throws {
            let place = try TemporaryDirectory()
            let script = """
                mkdir "$2/dev" "$2/mnt" && mount -t tmpfs none "$2/dev" && touch "$2/dev/null"
                mount --bind /dev/null "$2/dev/null" && mount --move "$2/dev" /dev
                exec "$1" mount memory: "$2/mnt"
                """
            let run = try ProgramRun.run(
                MountNamespace.words(script, [Program.path, place.path]))
            expectRefusal(run, status: Status.mountFailure, mentions: ["/dev/fuse", "modprobe"])
        }
    }
}
