import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

/// FUSE_HANDLE_KILLPRIV_V2: the kernel says with a request that setuid and setgid shall go; libfuse 3.14
/// does not hand that on.
@Suite(.serialized, .timeLimit(.minutes(1))) struct KillPrivilegesTests {
    /// Runs a shell command as nobody, who has no CAP_FSETID.
    private func runAsNobody(_ command: String, in directory: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        process.arguments = [
            "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", command,
        ]
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(command)")
    }

    private func withSharedMount(_ body: (TestMount) throws -> Void) throws {
        let files = MemoryFileSystem()
        files.plant("file", data: [1], mode: 0o106777)
        files.change(.root) { $0.attributes.permissions = 0o777 }
        try withMount(files, configure: { $0.allowsOther = true }) { try body($0) }
    }

    @Test func `a write by somebody without the capability says so, one by root does not`() throws {
        try withSharedMount { mount in
            try runAsNobody("echo x >> file", in: mount.path)
            #expect(mount.files.record.writes.map(\.options) == [[.clearsPrivileges, .append]])
            try Call.withFile(mount.path + "/file", O_WRONLY) { try Call.write($0, [1]) }
            #expect(
                mount.files.record.writes.map(\.options) == [[.clearsPrivileges, .append], []])
        }
    }

    @Test func `a truncating open says so, a plain one does not`() throws {
        try withSharedMount { mount in
            try runAsNobody(": > file", in: mount.path)
            #expect(mount.files.record.opens == [[.write, .truncate, .clearsPrivileges]])
            try runAsNobody(": < file", in: mount.path)
            #expect(mount.files.record.opens.last == .read)
        }
    }

    @Test func `a create with truncation says so`() throws {
        try withSharedMount { mount in
            try runAsNobody(": > new", in: mount.path)
            #expect(mount.files.record.opens == [[.write, .truncate, .clearsPrivileges]])
            #expect(mount.files.record.calls["create"] == 1)
        }
    }

    @Test func `a truncation says so, a change of times after it does not`() throws {
        try withSharedMount { mount in
            let inode = try #require(mount.files.inode(named: "file"))
            mount.files.change(inode) { $0.attributes.userID = 65_534 }
            try runAsNobody("truncate -s 100 file && touch -a file", in: mount.path)
            let changes = mount.files.record.changes
            try #require(changes.count == 2)
            #expect(changes[0].size == 100 && changes[0].clearsPrivileges)
            #expect(changes[1].accessTime != nil && !changes[1].clearsPrivileges)
        }
    }
}
