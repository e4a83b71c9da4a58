import Codecs
import FuseServer
import Testing

@testable import apusfs

@Suite struct MountOptionTests {
    private func settings(_ list: String) throws -> MountSettings {
        var settings = MountSettings()
        try MountOptionList.apply(list, to: &settings)
        return settings
    }

    /// Each option of the table with a value, and what it changes.
    private static let effects: [(String, @Sendable (inout MountSettings) -> Void)] = [
        ("volume=v", { $0.volume = "v" }),
        ("prefix=v", { $0.volume = "v" }),
        ("codec=zlib:9", { $0.codec = .zlib(level: 9) }),
        ("block-size=64K", { $0.blockSizeBytes = 65_536 }),
        ("cache-size=2GiB", { $0.cacheBytes = 2 << 30 }),
        ("threads=3", { $0.threads = 3 }),
        ("connections=9", { $0.connections = 9 }),
        ("flush-interval=250ms", { $0.flushInterval = TimeSpan(milliseconds: 250) }),
        ("attr-timeout=0", { $0.attributeTimeout = TimeSpan(milliseconds: 0) }),
        ("entry-timeout=1.5", { $0.entryTimeout = TimeSpan(milliseconds: 1_500) }),
        ("transport=uring", { $0.transport = .uring }),
        ("splice", { $0.splice = true }),
        ("clone-fd", { $0.cloneDescriptor = true }),
        ("read-only", { $0.isReadOnly = true }),
        ("ro", { $0.isReadOnly = true }),
        ("nfs-export", { $0.exportsHandles = true }),
        ("local-lock=none", { $0.localLocks = [] }),
        ("local-lock=flock", { $0.localLocks = .flock }),
        ("local-lock=posix", { $0.localLocks = .posix }),
        ("local-lock=all", { $0.localLocks = .all }),
        ("noatime", { $0.accessTimes = .noatime }),
        ("relatime", { $0.accessTimes = .relatime }),
        ("strictatime", { $0.accessTimes = .strictatime }),
        ("allow-other", { $0.allowOther = true }),
        ("no-allow-other", { $0.allowOther = false }),
        ("nonempty", { $0.allowNonEmpty = true }),
        ("io-timeout=5s", { $0.ioTimeout = TimeSpan(milliseconds: 5_000) }),
        ("fsync-replicas=2", { $0.fsyncReplicas = 2 }),
        ("strict", { $0.isStrict = true }),
        ("password-file=/p", { $0.passwordFile = "/p" }),
        ("tls-ca=/a", { $0.tls.authorityFile = "/a" }),
        ("tls-cert=/c", { $0.tls.certificateFile = "/c" }),
        ("tls-key=/k", { $0.tls.keyFile = "/k" }),
        ("tls-server-name=x.example", { $0.tls.serverName = "x.example" }),
        ("tls-insecure", { $0.tls.isInsecure = true }),
        ("log-file=/l", { $0.logFile = "/l" }),
        ("pid-file=/i", { $0.pidFile = "/i" }),
        ("foreground", { $0.isForeground = true }),
        ("debug", { $0.isDebug = true }),
    ]

    @Test(arguments: effects.indices)
    func `each option sets what it names, with either separator`(index: Int) throws {
        let (word, change) = Self.effects[index]
        var expected = MountSettings()
        change(&expected)
        #expect(try settings(word) == expected)
        let parts = word.split(separator: "=", maxSplits: 1)
        let key = parts[0].replacing("-", with: "_")
        #expect(try settings(([key] + parts.dropFirst()).joined(separator: "=")) == expected)
    }

    @Test func `the table above has every option`() {
        let tested = Set(Self.effects.map { String($0.0.prefix { $0 != "=" }) })
        #expect(tested == Set(MountOption.all.flatMap { [$0.name] + $0.aliases }))
    }

    @Test(arguments: [
        ("volume=", "1 to 64"), ("volume=a/b", "1 to 64"), ("volume=a b", "1 to 64"),
        ("volume=..", "1 to 64"), ("volume=\u{E4}", "1 to 64"),
        ("volume=" + String(repeating: "x", count: 65), "1 to 64"),
        ("codec=gzip", "none, lz4, zlib"), ("codec=zlib:0", "none, lz4, zlib"),
        ("codec=zlib:10", "none, lz4, zlib"), ("codec=", "none, lz4, zlib"),
        ("block-size=4095", "multiple of 4 KiB"), ("block-size=0", "multiple of 4 KiB"),
        ("block-size=6K", "multiple of 4 KiB"), ("block-size=1028K", "multiple of 4 KiB"),
        ("block-size=2M", "multiple of 4 KiB"), ("block-size=big", "is no size"),
        ("cache-size=1M", "outside of 4 MiB to 16 TiB"), ("cache-size=1.5G", "is no size"),
        ("threads=0", "a number from 1 to 256"), ("threads=257", "a number from 1 to 256"),
        ("threads=x", "a number from"), ("connections=65", "a number from 1 to 64"),
        ("flush-interval=1ms", "less than 10ms"), ("flush-interval=x", "is no time"),
        ("io-timeout=0", "less than 100ms"), ("attr-timeout=-1", "is no time"),
        ("password-file=", "path of a file"),
        ("volume", "needs a value: volume=NAME"), ("cache_size", "needs a value: cache-size=SIZE"),
        ("ro=1", "takes no value"), ("splice=yes", "takes no value"),
        ("transport=fast", "auto, device or uring"),
        ("local-lock=fcntl", "none, flock, posix or all"),
        ("cache-sise=1G", "did you mean 'cache-size'"),
        ("allow_othr", "did you mean 'allow-other'"),
        ("nosuidd", "did you mean 'nosuid'"), ("uid=0", "unknown mount option"),
        ("suid=1", "unknown mount option"), ("fsname", "unknown mount option"),
    ])
    func `a bad option is refused with its name and what it has to look like`(
        word: String, reason: String
    ) {
        let failure = #expect(throws: CommandFailure.self) { try settings(word) }
        let name = "-o \(word.prefix { $0 != "=" }): "
        #expect(failure?.message.hasPrefix(name) == true, "\(failure?.message ?? "")")
        #expect(failure?.message.contains(reason) == true, "\(failure?.message ?? "")")
        #expect(failure?.status == .usage)
    }

    @Test(arguments: [
        "_netdev", "nofail", "defaults", "user", "users", "noauto", "auto", "x-systemd.automount",
        "x-systemd.requires=redis-server.service", "rw", "atime", "", ",,",
    ])
    func `words of fstab for others change nothing`(word: String) throws {
        #expect(try settings(word) == MountSettings())
    }

    @Test func `options of FUSE are handed on, in libfuse's spelling`() throws {
        let settings = try settings("nosuid,default-permissions,fsname=a\\,b")
        #expect(
            settings.fuseOptions == [
                "nosuid", "default_permissions", "fsname=a,b",
            ])
    }

    @Test func `a comma behind a backslash belongs to the value`() throws {
        #expect(try settings("log-file=/a\\,b,ro").logFile == "/a,b")
        #expect(MountOptionList.words(of: #"a\\,b"#) == [#"a\"#, "b"])
    }

    @Test func `of several words for one thing the last one wins`() throws {
        #expect(try settings("ro,rw").isReadOnly == false)
        #expect(try settings("threads=2,threads=5").threads == 5)
    }

    @Test func `sloppy mounts return what they do not know`() throws {
        var settings = MountSettings()
        let unknown = try MountOptionList.apply("ro,quux,uid=1", to: &settings, isSloppy: true)
        #expect(unknown == ["quux", "uid"])
        #expect(settings.isReadOnly)
    }

    @Test func `an error in a known option is one for sloppy mounts, too`() {
        var settings = MountSettings()
        #expect(throws: CommandFailure.self) {
            try MountOptionList.apply("threads=x", to: &settings, isSloppy: true)
        }
    }
}
