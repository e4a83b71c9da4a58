import ArgumentParser
import KeyspaceFS
import Testing

@testable import apusfs

@Suite struct KeysCommandTests {
    private func settings(_ words: String...) throws -> MountSettings {
        let command = try #require(
            try RootCommand.command(["keys", "redis://h/1", "/mnt"] + words) as? KeysCommand)
        return try command.request().settings
    }

    /// Each option of the view with a value, and what it changes.
    private static let effects: [([String], @Sendable (inout KeysSettings) -> Void)] = [
        (["--separator", "|"], { $0.separator = UInt8(ascii: "|") }),
        (["--prefix", "a:"], { $0.prefix = "a:" }), (["--match", "a*"], { $0.match = "a*" }),
        (["--depth", "2"], { $0.depth = 2 }),
        (["--hashes", "directory"], { $0.hashes = .directory }),
        (["--format", "json"], { $0.format = .json }), (["--redis-db", "7"], { $0.database = 7 }),
        (["--refresh", "3s"], { $0.refresh = TimeSpan(milliseconds: 3_000) }),
        (["--changes", "none"], { $0.changes = .none }), (["--write"], { $0.isWritable = true }),
        (["--read-only"], { $0.isWritable = false }),
        (["--remove-any-type"], { $0.mayRemoveAnyType = true }),
        (["--on-conflict", "keep-both"], { $0.onConflict = .keepBoth }),
    ]

    @Test(arguments: effects.indices)
    func `each option sets what it names`(index: Int) throws {
        let (words, change) = Self.effects[index]
        let command = try #require(
            try RootCommand.command(["keys", "redis://h", "/mnt"] + words) as? KeysCommand)
        var expected = KeysSettings()
        change(&expected)
        let settings = try command.request().settings
        #expect(settings.keys == expected)
        #expect(settings.isReadOnly == !expected.isWritable)
    }

    @Test func `the table above and the help have every option`() {
        let own = MountOption.keys.map(\.name).filter { name in
            !MountOption.all.contains { $0.name == name } || name == "read-only" || name == "prefix"
        }
        #expect(Set(Self.effects.map { String($0.0[0].dropFirst(2)) }) == Set(own))
        let help = RootCommand.helpMessage(for: KeysCommand.self, columns: 100)
        for option in MountOption.keys { #expect(help.contains("--\(option.name)")) }
    }

    @Test func `-o takes the same options, and flags win over it`() throws {
        let list = "rw,_netdev,x-systemd.automount,prefix=a:,write,threads=3,match=a\\,b*"
        let settings = try settings("-o", list, "-o", "nosuid", "--threads", "4")
        var expected = MountSettings()
        expected.keys = KeysSettings(prefix: "a:", match: "a,b*", isWritable: true)
        expected.threads = 4
        expected.fuseOptions = ["nosuid"]
        #expect(settings == expected)
        // What mount(8) says unasked is no permission.
        #expect(try self.settings("-o", "rw").isReadOnly)
        #expect(try self.settings("-o", "write,ro").isReadOnly)
        let failure = #expect(throws: CommandFailure.self) { try self.settings("-o", "volume=v") }
        #expect(failure?.message.contains("-o volume: unknown mount option") == true)
    }

    @Test func `a view needs a source`() {
        #expect(throws: CommandFailure.self) {
            var settings = MountSettings()
            settings.keys = KeysSettings()
            _ = try MountPlan.make(
                places: ["none", "/mnt"], settings: settings, environment: [:],
                workingDirectory: "/")
        }
    }

    @Test func `what concerns every mount is set as there`() throws {
        let settings = try settings(
            "--io-timeout", "3s", "--threads", "2", "--attr-timeout", "0", "--log-file", "/l")
        var expected = MountSettings()
        expected.keys = KeysSettings()
        expected.isReadOnly = true
        expected.ioTimeout = TimeSpan(milliseconds: 3_000)
        expected.threads = 2
        expected.attributeTimeout = TimeSpan(milliseconds: 0)
        expected.logFile = "/l"
        #expect(settings == expected)
    }

    @Test(arguments: [
        ["--separator", "ab"], ["--separator", "x"], ["--separator", "%"], ["--depth", "-1"],
        ["--hashes", "files"], ["--on-conflict", "maybe"], ["--separator", "."],
        ["--write", "--read-only"], ["--match", ""], ["--cache-size", "1M"],
    ])
    func `what cannot be meant is refused`(words: [String]) {
        #expect(throws: (any Error).self) {
            let command = try RootCommand.command(["keys", "redis://h", "/mnt"] + words)
            _ = try (command as? KeysCommand)?.request()
        }
    }

    @Test func `lines of a configuration file are names and values`() {
        let lines = ConfigurationFile.lines(
            of: "# one\n\nwrite\n separator = \"|\" \nredis_db=3\nprefix = a=b\nmatch=\n")
        #expect(
            lines == [
                .init(number: 3, name: "write", value: nil),
                .init(number: 4, name: "separator", value: "|"),
                .init(number: 5, name: "redis-db", value: "3"),
                .init(number: 6, name: "prefix", value: "a=b"),
                .init(number: 7, name: "match", value: ""),
            ])
    }
}
