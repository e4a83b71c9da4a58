import ArgumentParser
import Codecs
import Testing

@testable import apusfs

@Suite struct GrammarTests {
    private func mount(_ words: String...) throws -> MountCommand {
        try #require(try RootCommand.command(words) as? MountCommand)
    }

    @Test func `a mount needs no command name`() throws {
        let command = try mount("file:/srv/x", "/mnt/x", "-o", "ro,threads=3", "--codec", "lz4")
        #expect(command.places == ["file:/srv/x", "/mnt/x"])
        var expected = MountSettings()
        expected.isReadOnly = true
        expected.threads = 3
        expected.codec = .lz4
        #expect(try command.settings() == expected)
        #expect(try mount("mount", "/mnt/x").places == ["/mnt/x"])
    }

    @Test(arguments: [
        ["-oro,threads=3", "/x"], ["-o", "ro", "-o", "threads=3", "/x"],
        ["/x", "-o", "threads=9", "--threads", "3", "--read-only"],
        ["--threads=3", "/x", "-o", "ro,threads=9"],
    ])
    func `options stand anywhere, several -o add up, and flags win over -o`(
        words: [String]
    ) throws {
        let command = try #require(try RootCommand.command(words) as? MountCommand)
        let settings = try command.settings()
        #expect(settings.isReadOnly && settings.threads == 3)
        #expect(command.places == ["/x"])
    }

    @Test(arguments: MountOption.all.map(\.name))
    func `each option of the table is a long flag`(name: String) throws {
        let option = try #require(MountOption.named(name))
        let values = [
            "volume": "v", "codec": "lz4", "block-size": "64K", "cache-size": "64M",
            "threads": "2", "connections": "2", "password-file": "/p", "log-file": "/l",
            "pid-file": "/i", "fsync-replicas": "2", "transport": "uring", "local-lock": "flock",
        ]
        let value = option.argument == .none ? nil : values[name] ?? "7s"
        let words = ["/mnt/x", "--\(name)"] + (value.map { [$0] } ?? [])
        let command = try #require(try RootCommand.command(words) as? MountCommand)
        var expected = MountSettings()
        try MountOptionList.apply(
            name + (value.map { "=\($0)" } ?? ""), to: &expected)
        #expect(try command.settings() == expected)
        // relatime is what holds anyway, and so is one of the other two, by the user.
        let mayBeDefault = ["relatime", "allow-other", "no-allow-other"]
        if !mayBeDefault.contains(name) { #expect(expected != MountSettings()) }
    }

    @Test func `--prefix is the older name of --volume`() throws {
        #expect(try mount("/x", "--prefix", "v").settings().volume == "v")
        #expect(try mount("/x", "-o", "prefix=v").settings().volume == "v")
    }

    @Test(arguments: [["/x", "--noatime", "--strictatime"], ["/x", "--bogus"], ["umount"]])
    func `a line that contradicts itself or is unknown is refused`(words: [String]) {
        #expect(throws: (any Error).self) { try RootCommand.command(words) }
    }

    @Test(arguments: MountOption.all.map(\.name))
    func `the help of mount and the README have each flag`(name: String) throws {
        let help = RootCommand.helpMessage(for: MountCommand.self, columns: 100)
        #expect(help.contains("--\(name)"))
        let readme = try #require(
            Directories.contents(of: ProjectTree.path("README.md"), limit: 1 << 20))
        #expect(String(decoding: readme, as: UTF8.self).contains("`--\(name)"))
    }

    @Test func `the README has no flag of mount that does not exist`() throws {
        let readme = try #require(
            Directories.contents(of: ProjectTree.path("README.md"), limit: 1 << 20))
        let others: Set = [
            "force", "lazy", "timeout", "json", "prefix", "help", "repair", "data", "memory",
        ]
        let named = String(decoding: readme, as: UTF8.self).matches(of: /`--([a-z-]+)/)
            .map { String($0.1) }
        #expect(!named.isEmpty)
        for name in named where !others.contains(name) {
            let isKnown =
                (MountOption.all + MountOption.keys).contains { $0.name == name }
                || name == "config"
            #expect(isKnown, "--\(name)")
        }
    }

    @Test func `no line of any help is wider than a terminal`() {
        let commands: [any ParsableCommand.Type] = [
            RootCommand.self, MountCommand.self, KeysCommand.self, UmountCommand.self,
            FormatCommand.self, StatusCommand.self, CheckCommand.self, GcCommand.self,
            VersionCommand.self,
        ]
        for command in commands {
            let configuration = command.configuration
            for line in configuration.discussion.split(separator: "\n") {
                #expect(line.count <= 80, "\(command): \(line)")
            }
        }
    }
}

/// The grammar of mount(8) for its helpers.
@Suite struct MountCallTests {
    @Test func `a call of mount(8) is understood`() throws {
        let call = try MountCall.parse([
            "redis://h/1", "/mnt/x", "-sfnv", "-o", "rw,noatime", "-t", "apusfs", "-N", "ns",
        ])
        #expect(
            call
                == MountCall.Words(
                    places: ["redis://h/1", "/mnt/x"], options: ["rw,noatime"], isSloppy: true,
                    isFake: true))
    }

    @Test func `letters and values stand together or apart`() throws {
        let call = try MountCall.parse(["-r", "-", "/x", "-oro", "-so", "nosuid", "-w"])
        #expect(call.options == ["ro", "ro", "nosuid", "rw"])
        #expect(call.places == ["-", "/x"])
        #expect(call.isSloppy && !call.isFake)
    }

    @Test(arguments: [
        ("remount,ro", 1), ("remount", 0), ("rw,nosuid,nodev,remount,ro", 7), ("remount,ro,rw", 0),
        ("noexec,sync,remount,async", 8), ("nosuid,defaults,remount", 0),
        ("remount,rw,relatime,user_id=0,group_id=0,default_permissions,allow_other", 1 << 21),
        ("remount,ro,cache-size=2GiB,_netdev,nofail,x-systemd.automount", 1),
    ])
    func `a remount has the flags that stand last, and lets options of a mount pass`(
        options: String, flags: UInt
    ) throws {
        #expect(try Remount([options])?.flags == flags)
        let words = MountOptionList.words(of: options)
        #expect(try Remount(words)?.flags == flags)
        #expect(try Remount(words.filter { $0 != "remount" }) == nil)
    }

    @Test func `a remount refuses what is no option`() throws {
        let failure = #expect(throws: CommandFailure.self) { try Remount(["remount,r0"]) }
        #expect(failure?.status == .usage)
        #expect(try Remount(["remount,r0,ro"], isSloppy: true)?.flags == 1)
    }

    @Test(arguments: [["a", "b", "-q"], ["a", "b", "-o"], ["a", "b", "--read-only"]])
    func `what mount(8) never says is refused`(words: [String]) {
        let failure = #expect(throws: CommandFailure.self) { try MountCall.parse(words) }
        #expect(failure?.status == .usage)
    }
}
