import Glibc
import Primitives
import TestSupport
import Testing

@testable import apusfs

/// The built program, as far as it needs no mount.
@Suite(.timeLimit(.minutes(2))) struct ProgramTests {
    private func run(_ words: String..., environment: [String: String] = [:]) throws -> ProgramRun {
        try ProgramRun.run([ProjectTree.program] + words, environment: environment)
    }

    private func isOneLine(_ text: String) -> Bool {
        text.hasPrefix("apusfs: ") && text.hasSuffix("\n") && text.filter { $0 == "\n" }.count == 1
    }

    @Test(arguments: [
        ["mount", "ftp://x", "/mnt"], ["mount", "memory:", "/mnt", "--block-size", "5000"],
        ["mount", "memory:", "/mnt", "--cache-size", "much"],
        ["mount", "memory:", "/mnt", "-o", "x"],
        ["mount", "memory:", "/mnt", "--volume", "a/b"], ["mount", "--bogus"], ["mount"], [],
        ["format"], ["format", "memory:"], ["umount"], ["status", "memory:"], ["stauts", "x"],
        ["umount", "/x", "--timeout", "soon"], ["format", "file:/x", "--block-size", "2M"],
    ])
    func `wrong usage is one line and status 64`(words: [String]) throws {
        let result = try ProgramRun.run([ProjectTree.program] + words)
        #expect(result.status == 64, "\(result)")
        #expect(result.output.isEmpty && isOneLine(result.errors), "\(result)")
    }

    @Test(arguments: [["--help"], ["mount", "--help"], ["help", "umount"], ["status", "-h"]])
    func `help goes to standard output with status 0`(words: [String]) throws {
        let result = try ProgramRun.run([ProjectTree.program] + words)
        #expect(result.isSuccess && result.errors.isEmpty, "\(result)")
        #expect(result.output.contains("USAGE: apusfs"), "\(result)")
    }

    @Test func `a failed mount is one line and status 32`() throws {
        let directory = try TemporaryDirectory()
        let result = try run("mount", "unix://\(directory.path)/none.sock", directory.path)
        #expect(result.status == 32 && isOneLine(result.errors), "\(result)")
        let missing = try run("mount", "memory:", "\(directory.path)/missing")
        #expect(missing.status == 32 && isOneLine(missing.errors), "\(missing)")
        #expect(missing.errors.contains("mkdir -p"))
    }

    @Test func `a mount helper uses the statuses of mount(8)`() throws {
        let directory = try TemporaryDirectory()
        let helper = "\(directory.path)/mount.apusfs"
        #expect(symlink(ProjectTree.program, helper) == 0)
        let usage = try ProgramRun.run([helper, "memory:", directory.path, "-o", "bogus"])
        #expect(usage.status == 1 && isOneLine(usage.errors), "\(usage)")
        let failed = try ProgramRun.run([helper, "memory:", "\(directory.path)/missing"])
        #expect(failed.status == 32 && isOneLine(failed.errors), "\(failed)")
        let fake = try ProgramRun.run([helper, "memory:", directory.path, "-f", "-o", "ro"])
        #expect(fake.isSuccess && fake.errors.isEmpty, "\(fake)")
    }

    @Test func `the version names every part, and jemalloc only when it is at work`() throws {
        let result = try run("version").checked()
        for part in [
            "apusfs: ", "swift: ", "libfuse: 3.", "hiredis: ", "OpenSSL: 3.", "redis-server: 7.",
        ] {
            #expect(result.output.contains(part), "\(result)")
        }
        // What jemalloc says of itself at the end of the process, if it is there at all.
        let proof = try run("version", environment: ["MALLOC_CONF": "stats_print:true"])
        let isAtWork = proof.errors.contains("jemalloc statistics")
        #expect(result.output.contains("allocator: jemalloc 5.") == isAtWork, "\(result)")
    }

    @Test func `a volume is formatted, described and erased on purpose only`() throws {
        let server = try RedisServer()
        let source = "unix://\(server.path)"
        let none = try run("status", source)
        #expect(none.status == 1 && none.errors.contains("apusfs format"), "\(none)")
        let made = try run("format", source, "--codec", "zlib:9", "--block-size", "64K", "--json")
        let report = try JSON.value(VolumeReport.self, from: Array(try made.checked().output.utf8))
        #expect(report.volume?.codec == "zlib:9" && report.volume?.blockSizeBytes == 65_536)
        #expect(made.errors.contains("NOTHING SURVIVES"), "\(made)")

        let again = try run("format", source)
        #expect(again.status == 1 && again.errors.contains("--force"), "\(again)")
        let status = try run("status", source, "--json").checked()
        let seen = try JSON.value(VolumeReport.self, from: Array(status.output.utf8))
        #expect(seen.volume?.uuid == report.volume?.uuid)
        #expect(seen.usage?.inodes == 1 && seen.store.persistence == "none")

        let forced = try run("format", source, "--force", "--json").checked()
        let fresh = try JSON.value(VolumeReport.self, from: Array(forced.output.utf8))
        #expect(fresh.volume?.uuid != report.volume?.uuid)
    }

    @Test func `an embedded store is stopped after each command`() throws {
        let directory = try TemporaryDirectory()
        let source = "file:\(directory.path)/store"
        try run("format", source).checked()
        try run("status", source).checked()
        let lock = try FileLock(path: "\(directory.path)/store/server.lock")
        #expect(lock.attempt(.exclusive))
    }

    @Test func `a wrong or missing password is said so without being repeated`() throws {
        let server = try RedisServer(arguments: ["--requirepass", "hunter2"])
        let address = "\(server.path)"
        let none = try run("status", "unix://\(address)")
        #expect(none.status == 1 && none.errors.contains("wants a password"), "\(none)")
        let wrong = try run("status", "unix://:nothunter@\(address)")
        #expect(wrong.errors.contains("wrong user or password"), "\(wrong)")
        #expect(!wrong.errors.contains("nothunter"), "\(wrong)")
        for name in PasswordSource.environmentNames {
            let right = try run(
                "format", "unix://\(address)", "--force", environment: [name: "hunter2"])
            #expect(right.isSuccess && !right.description.contains("hunter2"), "\(right)")
        }
    }

    @Test func `no argument of any process shows the password while a mount is made`() throws {
        // Somebody who listens and never answers keeps the mount waiting.
        let directory = try TemporaryDirectory()
        let deaf = try DeafListener(path: "\(directory.path)/deaf.sock")
        let mountPoint = "\(directory.path)/mount"
        #expect(mkdir(mountPoint, 0o700) == 0)
        let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
        let process = try ChildProcess.spawn(
            ProjectTree.program,
            arguments: ["apusfs", "mount", "unix://:hunter2@\(deaf.path)", mountPoint],
            environment: Environment.all,
            descriptors: [nothing.raw, nothing.raw, nothing.raw])
        defer {
            kill(process.id, SIGTERM)
            _ = process.awaitEnd(until: .after(milliseconds: 60_000))
            process.reap()
        }
        // The process behind the mount is there once it has connected.
        #expect(deaf.awaitConnection(milliseconds: 30_000))
        let lines = try Directories.list("/proc").filter { Int($0) != nil }.compactMap {
            Directories.contents(of: "/proc/\($0)/cmdline", limit: 4_096)
        }.map { String(decoding: $0, as: UTF8.self) }
        let ours = lines.filter { $0.contains(deaf.path) }
        #expect(ours.count == 2, "\(ours)")
        #expect(ours.allSatisfy { $0.contains("unix://:") && !$0.contains("hunter2") }, "\(ours)")
    }
}

/// Listens on a unix socket and answers nobody.
private final class DeafListener {
    let path: String
    private let socket: OwnedDescriptor

    init(path: String) throws {
        self.path = path
        socket = OwnedDescriptor(taking: Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket.raw, $0, size) }
        }
        guard bound == 0, listen(socket.raw, 8) == 0 else { throw Errno(rawValue: errno) }
    }

    func awaitConnection(milliseconds: Int) -> Bool {
        !OwnedDescriptor.awaitReadable([socket.raw], until: .after(milliseconds: milliseconds))
            .isEmpty
    }
}
