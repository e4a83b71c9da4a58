import CLinux
import FileSystem
import Foundation
import Logging
import Primitives
import Telemetry
import TestSupport
import Testing

@testable import FuseServer

@Suite(.serialized, .timeLimit(.minutes(3))) struct LifeTests {
    @Test func `requestStop ends serve, leaves no mount and tells the filesystem`() throws {
        let mount = try TestMount()
        #expect(mount.isMounted)
        try #expect(Call.list(mount.path) == [".", ".."])
        mount.server.requestStop()
        mount.server.requestStop()
        try mount.waitForEnd()
        #expect(!mount.isMounted)
        #expect(mount.files.record.isUnmounted)
    }

    @Test func `umount(8) ends serve`() throws {
        let mount = try TestMount()
        #expect(apusfs_umount(mount.path, 0) == 0)
        try mount.waitForEnd()
        #expect(!mount.isMounted)
        #expect(mount.files.record.isUnmounted)
    }

    @Test func `an aborted connection ends serve and leaves no stale mount`() throws {
        let mount = try TestMount()
        // Aborts, then fails to unmount because a file is open.
        let file = try Call.open(mount.path + "/open", O_CREAT | O_RDWR)
        defer { close(file) }
        _ = apusfs_umount(mount.path, Int32(APUSFS_MNT_FORCE))
        try mount.waitForEnd()
        #expect(!mount.isMounted)
        #expect(mount.files.record.isUnmounted)
        #expect(Call.failure { try Call.write(file, [1]) } != nil)
    }

    @Test func `a stop waits for programs that hold files open, and ends when they let go`() throws
    {
        try withMount(configure: { $0.stopGraceMilliseconds = 60_000 }) { mount in
            let file = try Call.open(mount.path + "/open", O_CREAT | O_RDWR)
            mount.server.requestStop()
            try Call.write(file, [1, 2, 3])
            try #expect(Call.read(file, count: 10) == [1, 2, 3])
            #expect(mount.isMounted)
            close(file)
            try mount.waitForEnd()
            #expect(!mount.isMounted)
        }
    }

    @Test func `a stop takes the mount from programs that do not let go in time`() throws {
        let mount = try TestMount(
            options: {
                var options = FuseOptions()
                options.stopGraceMilliseconds = 50
                return options
            }())
        let file = try Call.open(mount.path + "/open", O_CREAT | O_RDWR)
        defer { close(file) }
        try mount.stop()
        #expect(!mount.isMounted)
        #expect(Call.failure { try Call.write(file, [1]) } != nil)
        #expect(mount.files.record.isUnmounted)
    }

    @Test(arguments: [1, 2, 16]) func `any number of threads serves, with and without clones`(
        threads: Int
    ) throws {
        for clones in [false, true] {
            try withMount(configure: {
                $0.threads = threads
                $0.clonesDescriptors = clones
            }) { mount in
                try Call.create(mount.path + "/file", [1, 2, 3])
                try #expect(Call.contents(mount.path + "/file") == [1, 2, 3])
                try #expect(Call.list(mount.path).count == 3)
            }
        }
    }

    @Test func `onReady may use the mount even when there is one thread`() throws {
        let directory = try TemporaryDirectory()
        var options = FuseOptions()
        options.threads = 1
        let server = FuseServer(
            fileSystem: MemoryFileSystem(), options: options, metrics: Metrics(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try server.mount(at: directory.path)
        let path = directory.path
        let seen = SharedBox(Monitor<Result<[String], any Error>?>(nil))
        try server.serve { [unowned server] in
            let names = Result { try Call.list(path) }
            seen.value.change { $0 = names }
            server.requestStop()
        }
        try #expect(seen.value.withLock { $0 }?.get() == [".", ".."])
        #expect(!TestMount.isMounted(path))
    }

    @Test func `a server that mounted but never served unmounts when it goes away`() throws {
        let directory = try TemporaryDirectory()
        do {
            let server = FuseServer(
                fileSystem: MemoryFileSystem(), options: FuseOptions(), metrics: Metrics(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try server.mount(at: directory.path)
            #expect(TestMount.isMounted(directory.path))
            #expect(throws: FuseError.outOfOrder("mount")) { try server.mount(at: directory.path) }
        }
        #expect(!TestMount.isMounted(directory.path))
    }

    @Test func `serving without a mount is refused`() throws {
        let server = FuseServer(
            fileSystem: MemoryFileSystem(), options: FuseOptions(), metrics: Metrics(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        server.requestStop()
        #expect(throws: FuseError.outOfOrder("serve")) { try server.serve {} }
    }

    // MARK: What is wrong with a mount point

    private func mountFailure(_ path: String, options: [String] = []) -> FuseError? {
        var fuseOptions = FuseOptions()
        fuseOptions.mountOptions = options
        let server = FuseServer(
            fileSystem: MemoryFileSystem(), options: fuseOptions, metrics: Metrics(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do throws(FuseError) {
            try server.mount(at: path)
            return nil
        } catch { return error }
    }

    @Test func `a missing mount point and one that is no directory are named`() throws {
        let directory = try TemporaryDirectory()
        let missing = directory.path + "/missing"
        #expect(mountFailure(missing) == .mountPointMissing(path: missing))
        let file = directory.path + "/file"
        try Call.create(file)
        #expect(mountFailure(file) == .mountPointNotDirectory(path: file))
    }

    @Test func `a mount whose daemon died is named, with the way out`() throws {
        let directory = try TemporaryDirectory()
        let device = try Call.open("/dev/fuse", O_RDWR)
        try Call.mount(
            source: "dead", at: directory.path, type: "fuse.dead",
            options: "fd=\(device),rootmode=40000,user_id=0,group_id=0")
        defer { apusfs_umount(directory.path, Int32(APUSFS_MNT_DETACH)) }
        close(device)
        let failure = mountFailure(directory.path)
        #expect(failure == .staleMount(path: directory.path))
        #expect("\(failure.map(String.init(describing:)) ?? "")".contains("umount -l"))
    }

    @Test func `options that libfuse does not know are named and nothing is mounted`() throws {
        let directory = try TemporaryDirectory()
        guard case .optionsRejected(let reason) = mountFailure(directory.path, options: ["bogus"])
        else {
            Issue.record("mounted with an unknown option")
            return
        }
        #expect(reason.contains("bogus"))
        #expect(!TestMount.isMounted(directory.path))
    }

    @Test func `source, type and options show in the mount table as they were given`() throws {
        try withMount(configure: {
            $0.sourceName = #"redis://host,other\x/1"#
            $0.readOnly = true
            $0.allowsOther = true
            $0.mountOptions = ["noatime"]
        }) { mount in
            let table = try String(contentsOfFile: "/proc/mounts", encoding: .utf8)
            let line = try #require(
                table.split(separator: "\n").first { $0.contains(" \(mount.path) ") })
            let fields = line.split(separator: " ")
            #expect(fields[0] == #"redis://host,other\134x/1"#)
            #expect(fields[2] == "fuse.apusfs")
            let words = fields[3].split(separator: ",")
            for word in ["ro", "noatime", "default_permissions", "allow_other"] {
                #expect(words.contains { $0 == word }, "\(word)")
            }
            #expect(Call.failure { try Call.create(mount.path + "/x") } == .readOnlyFileSystem)
        }
    }

    @Test func `a mount point reached through a symbolic link is unmounted too`() throws {
        let directory = try TemporaryDirectory()
        let target = directory.path + "/target dir"
        let link = directory.path + "/link"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        let server = FuseServer(
            fileSystem: MemoryFileSystem(), options: FuseOptions(), metrics: Metrics(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try server.mount(at: link)
        try server.serve { [unowned server] in server.requestStop() }
        let table = try String(contentsOfFile: "/proc/mounts", encoding: .utf8)
        #expect(!table.contains(directory.path))
    }
}

/// A noncopyable value that closures share.
final class SharedBox<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}
