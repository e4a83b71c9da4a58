import CLinux
import FileSystem
import Foundation
import FuseServer
import Primitives
import TestSupport
import Testing

/// The kernel's references (lookup counts): what it was told of it gives back, and what it was not told of
/// the server gives back.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ReferenceTests {
    /// Lets the kernel drop what it caches, and waits until it has given back all but the root.
    private func allGivenBack(_ mount: TestMount) throws -> Bool {
        try Call.dropCaches(of: mount.path)
        return mount.files.wait { state in
            state.nodes.allSatisfy { $0.key == .root || $0.value.kernelReferences == 0 }
        }
    }

    @Test func `after heavy use everything is given back`() throws {
        let files = MemoryFileSystem()
        files.configure {
            $0.entryTimeout = 3_600
            $0.attributesTimeout = 3_600
        }
        try withMount(files) { mount in
            let root = mount.path
            for index in 0..<300 { try Call.create(root + "/file-\(index)", [1]) }
            for index in 0..<50 {
                try Call.checked(mkdir(root + "/dir-\(index)", 0o755))
                try Call.checked(symlink("x", root + "/dir-\(index)/symbolic"))
                try Call.checked(mkfifo(root + "/dir-\(index)/fifo", 0o600))
                try Call.checked(link(root + "/file-\(index)", root + "/dir-\(index)/hard"))
                _ = try Call.list(root + "/dir-\(index)")
            }
            for _ in 0..<3 {
                _ = try Call.list(root)
                for index in 0..<300 { _ = try Call.status(root + "/file-\(index)") }
            }
            for index in 0..<20 { try Call.rename(root + "/file-\(index)", root + "/new-\(index)") }
            for index in 20..<40 { try Call.checked(unlink(root + "/file-\(index)")) }
            #expect(files.references.count >= 350, "most of 450 inodes are cached")
            try #expect(allGivenBack(mount), "\(files.references.count) inodes are still held")
            #expect(files.wait { state in state.nodes.values.allSatisfy { $0.openHandles == 0 } })
        }
    }

    @Test func `lookups that several threads do at once are all given back`() throws {
        let files = MemoryFileSystem()
        let names = (0..<64).map { "file-\($0)" }
        for name in names { files.plant(name) }
        try withMount(files) { mount in
            let root = mount.path
            let threads = (0..<4).map { number in
                TestThread(name: "lookups") {
                    for round in 0..<200 {
                        let name = names[(round * 7 + number) % names.count]
                        do { _ = try Call.status(root + "/" + name) } catch { Issue.record(error) }
                    }
                }
            }
            threads.forEach { $0.join() }
            try #expect(allGivenBack(mount), "\(files.references)")
        }
    }

    struct Undelivered: Sendable, CustomTestStringConvertible {
        let operation: String
        let call: @Sendable (String) throws -> Void
        var testDescription: String { operation }
    }

    /// Each holds its operation in the filesystem while the connection is aborted.
    static let undelivered: [Undelivered] = [
        Undelivered(operation: "lookup") { _ = try Call.status($0 + "/file") },
        Undelivered(operation: "mkdir") { try Call.checked(mkdir($0 + "/new", 0o755)) },
        Undelivered(operation: "mknod") { try Call.checked(mkfifo($0 + "/new", 0o755)) },
        Undelivered(operation: "symlink") { try Call.checked(symlink("x", $0 + "/new")) },
        Undelivered(operation: "create") { try Call.create($0 + "/new") },
        Undelivered(operation: "readdirplus") { _ = try Call.list($0) },
    ]

    @Test(arguments: undelivered)
    func `a reference in an answer that the kernel did not take is given back`(
        _ item: Undelivered
    ) throws {
        let files = MemoryFileSystem()
        files.plant("file")
        files.configure { $0.held = [item.operation] }
        try withMount(files, configure: { $0.transport = .device }) { mount in
            let path = mount.path
            let caller = TestThread(name: "caller") {
                #expect(Call.failure { try item.call(path) } != nil, "the connection is aborted")
            }
            #expect(files.wait { $0.record.heldCount[item.operation] == 1 })
            _ = apusfs_umount(path, Int32(APUSFS_MNT_FORCE))
            caller.join()
            files.configure { $0.held = [] }
            try mount.waitForEnd()
            #expect(files.record.calls[item.operation] == 1, "the answer was made")
            #expect(files.references.isEmpty)
            if item.operation == "create" { #expect(files.openHandleCount == 0) }
        }
    }

    @Test(arguments: ["open", "opendir"])
    func `a handle in an answer that the kernel did not take is released`(
        operation: String
    ) throws {
        let files = MemoryFileSystem()
        files.plant("file")
        files.configure { $0.held = [operation] }
        try withMount(files, configure: { $0.transport = .device }) { mount in
            let path = mount.path
            let caller = TestThread(name: "caller") {
                let failure = Call.failure {
                    _ =
                        operation == "open"
                        ? try Call.contents(path + "/file").count : try Call.list(path).count
                }
                #expect(failure != nil, "the connection is aborted")
            }
            #expect(files.wait { $0.record.heldCount[operation] == 1 })
            _ = apusfs_umount(path, Int32(APUSFS_MNT_FORCE))
            caller.join()
            files.configure { $0.held = [] }
            try mount.waitForEnd()
            #expect(files.record.calls[operation] == 1, "the answer was made")
            #expect(files.openHandleCount == 0)
        }
    }
}
