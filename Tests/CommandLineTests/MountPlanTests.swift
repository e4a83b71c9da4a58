import Glibc
import FuseServer
import Testing

@testable import apusfs

@Suite struct MountPlanTests {
    private func plan(_ places: String...) throws -> MountPlan {
        try MountPlan.make(
            places: places, settings: MountSettings(), environment: ["XDG_DATA_HOME": "/xdg"],
            workingDirectory: "/work")
    }

    @Test func `relative paths are seen from the working directory`() throws {
        let plan = try plan("file:data", "mnt")
        #expect(plan.source == Source(.embedded(directory: "/work/data")))
        #expect(plan.mountPoint == "/work/mnt")
    }

    @Test(arguments: ["file:/mnt/x", "file:/mnt/x/store", "file:/mnt/x/"])
    func `a store cannot lie in its own mount`(source: String) throws {
        #expect(throws: CommandFailure.self) { try plan(source, "/mnt/x") }
        #expect(try plan("file:/mnt/xy", "/mnt/x").mountPoint == "/mnt/x")
    }

    @Test func `pipes and io_uring exclude each other`() {
        var settings = MountSettings()
        settings.transport = .uring
        settings.splice = true
        let failure = #expect(throws: CommandFailure.self) {
            try MountPlan.make(
                places: ["memory:", "/mnt/x"], settings: settings, environment: [:],
                workingDirectory: "/")
        }
        #expect(failure?.message.contains("leave out one") == true)
        #expect(failure?.status == .usage)
    }

    @Test func `mount(8) sees a server's source as fstab writes it, and no password`() throws {
        #expect(try plan("redis://server:7000", "/mnt/x").shownSource == "redis://server:7000")
        let plan = try MountPlan.make(
            places: ["redis://server/1", "/mnt/x"], settings: MountSettings(),
            environment: ["APUSFS_REDIS_PASSWORD": "hunter2"], workingDirectory: "/")
        #expect(plan.source.password?.reveal() == "hunter2")
        #expect(plan.shownSource == "redis://server/1")
        let written = try self.plan("redis://:hunter2@server/1", "/mnt/x").shownSource
        #expect(!written.contains("hunter2") && written.contains("***"))
    }

    @Test(arguments: [["/mnt/x"], ["none", "/mnt/x"], ["-", "/mnt/x"]])
    func `without a source the default place is used`(places: [String]) throws {
        let plan = try MountPlan.make(
            places: places, settings: MountSettings(), environment: ["XDG_DATA_HOME": "/xdg"],
            workingDirectory: "/work")
        let base = geteuid() == 0 ? "/var/lib" : "/xdg"
        #expect(plan.source == Source(.embedded(directory: "\(base)/apusfs/apusfs")))
    }

    @Test func `the default place depends on user, environment and volume`() throws {
        func place(_ userID: UInt32, _ environment: [String: String]) throws -> String {
            "\(try DefaultPlace.source(volume: "v", userID: userID, environment: environment))"
        }
        #expect(try place(0, ["XDG_DATA_HOME": "/xdg"]) == "file:/var/lib/apusfs/v")
        #expect(try place(7, ["XDG_DATA_HOME": "/xdg", "HOME": "/h"]) == "file:/xdg/apusfs/v")
        #expect(
            try place(7, ["XDG_DATA_HOME": "rel", "HOME": "/h"])
                == "file:/h/.local/share/apusfs/v")
        #expect(throws: CommandFailure.self) { try place(7, [:]) }
    }

    @Test(
        arguments: [
            ([], "nothing to mount"), (["memory:"], "the mount point is missing"),
            (["redis://server"], "the mount point is missing"),
            (["a:", "b", "c"], "too many words"),
            (["stauts", "/x"], "did you mean 'apusfs status'"),
            (["umout", "/x"], "'apusfs umount'"),
            (["mout"], "did you mean 'apusfs mount'"),
            (["ftp://x", "/x"], "unknown source scheme"),
        ] as [([String], String)])
    func `a wrong line is refused with the right one`(places: [String], reason: String) {
        let failure = #expect(throws: CommandFailure.self) {
            try MountPlan.make(
                places: places, settings: MountSettings(), environment: [:],
                workingDirectory: "/")
        }
        #expect(failure?.message.contains(reason) == true, "\(failure?.message ?? "")")
        #expect(failure?.status == .usage)
    }
}

@Suite struct MountTableTests {
    private let text = """
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
        30 22 0:40 / /mnt/with\\040space rw,nosuid,nodev - fuse.apusfs redis://h:6379/0 \
        rw,user_id=1000,group_id=0
        31 22 0:41 / /mnt/two rw shared:5 master:2 - tmpfs tmpfs rw,size=1k
        32 22 0:42 / /mnt/two rw - fuse.apusfs file:/a\\134b rw,user_id=0

        garbage
        33 22 0:43 / /short rw
        """

    @Test func `lines of mountinfo are understood, others passed over`() {
        let entries = MountTable.parse(text)
        #expect(
            entries == [
                MountEntry(
                    mountPoint: "/", device: "8:1", kind: "ext4", source: "/dev/sda1", userID: nil),
                MountEntry(
                    mountPoint: "/mnt/with space", device: "0:40", kind: "fuse.apusfs",
                    source: "redis://h:6379/0", userID: 1_000),
                MountEntry(
                    mountPoint: "/mnt/two", device: "0:41", kind: "tmpfs", source: "tmpfs",
                    userID: nil),
                MountEntry(
                    mountPoint: "/mnt/two", device: "0:42", kind: "fuse.apusfs",
                    source: #"file:/a\b"#, userID: 0),
            ])
        #expect(entries.filter(\.isOurs).count == 2)
    }

    @Test func `the table of this machine has a root`() throws {
        #expect(try MountTable.entry(at: "/") != nil)
        #expect(try MountTable.entry(at: "/no such directory") == nil)
    }
}

@Suite struct MountMessageTests {
    @Test(arguments: [
        MountMessage.progress("loading 12 %"), .warning("may evict"), .ready,
        .failed(.mountFailure, "no server at h:1"), .failed(.failure, "x  y"),
    ])
    func `a message arrives as it was sent`(message: MountMessage) {
        #expect(MountMessage(line: message.line) == message)
    }

    @Test(arguments: ["", "what", "failed", "failed x y", "failed 99 y", "failed 32"])
    func `what is no message is none`(line: String) {
        #expect(MountMessage(line: line) == nil)
    }

    @Test func `a message of several lines is sent as one`() {
        #expect(MountMessage.warning("a\nb").line == "warning a\\u{a}b")
    }

    @Test func `lines are put together from any pieces`() {
        var buffer = LineBuffer()
        #expect(buffer.add(Array("on".utf8)) == [])
        #expect(buffer.add(Array("e\ntwo\nthr".utf8)) == ["one", "two"])
        #expect(buffer.add(Array("ee\n\n".utf8)) == ["three", ""])
    }
}
