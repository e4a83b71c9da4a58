import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct NameTests {
    @Test func `files, directories and links are made, found and removed`() throws {
        try withMount { mount in
            let root = mount.path
            try Call.create(root + "/file", [1])
            try Call.checked(mkdir(root + "/dir", 0o750))
            try Call.checked(symlink("to/somewhere", root + "/symbolic"))
            try Call.checked(link(root + "/file", root + "/dir/hard"))
            try #expect(Call.list(root) == [".", "..", "file", "dir", "symbolic"])
            try #expect(Call.status(root + "/dir").st_mode == 0o040750)
            try #expect(Call.status(root + "/file").st_nlink == 2)
            try #expect(
                Call.status(root + "/dir/hard").st_ino == Call.status(root + "/file").st_ino)
            try #expect(
                FileManager.default.destinationOfSymbolicLink(atPath: root + "/symbolic")
                    == "to/somewhere")
            try Call.checked(unlink(root + "/dir/hard"))
            try Call.checked(rmdir(root + "/dir"))
            #expect(Call.failure { _ = try Call.status(root + "/dir") } == .noEntry)
        }
    }

    @Test func `special files keep their kind and device`() throws {
        try withMount { mount in
            let device = dev_t(8 << 8 | 17)
            try Call.checked(mknod(mount.path + "/block", S_IFBLK | 0o600, device))
            try Call.checked(mkfifo(mount.path + "/fifo", 0o640))
            #expect(mount.files.record.createdDevice == 0)
            let block = try Call.status(mount.path + "/block")
            #expect(block.st_mode == S_IFBLK | 0o600)
            #expect(block.st_rdev == device)
            try #expect(Call.status(mount.path + "/fifo").st_mode == S_IFIFO | 0o640)
        }
    }

    @Test func `the flags of rename arrive`() throws {
        try withMount { mount in
            let root = mount.path
            for name in ["a", "b", "c"] { try Call.create(root + "/" + name) }
            #expect(Call.failure { try Call.rename(root + "/a", root + "/b", flags: 1) } == .exists)
            try Call.rename(root + "/a", root + "/b")
            try Call.rename(root + "/b", root + "/c", flags: 2)
            try Call.rename(root + "/c", root + "/d", flags: 1)
            #expect(mount.files.record.renames == [[], .exchange, .noReplace])
            try #expect(Call.list(root) == [".", "..", "d"])
        }
    }

    @Test(arguments: [1, 255]) func `a name of this many bytes works`(count: Int) throws {
        try withMount { mount in
            let name = String(repeating: "n", count: count)
            try Call.create(mount.path + "/" + name)
            try #expect(Call.list(mount.path) == [".", "..", name])
        }
    }

    @Test func `a name of 256 bytes is too long and never reaches the filesystem`() throws {
        try withMount { mount in
            let root = mount.path
            let path = root + "/" + String(repeating: "n", count: 256)
            try Call.create(root + "/file")
            mount.files.forgetRecord()
            #expect(Call.failure { try Call.create(path) } == .nameTooLong)
            #expect(Call.failure { _ = try Call.status(path) } == .nameTooLong)
            #expect(Call.failure { try Call.checked(mkdir(path, 0o755)) } == .nameTooLong)
            #expect(Call.failure { try Call.rename(root + "/file", path) } == .nameTooLong)
            #expect(mount.files.record.calls["create"] == nil)
            #expect(mount.files.record.calls["mkdir"] == nil)
            #expect(mount.files.record.calls["rename"] == nil)
            let long = mount.files.record.calls["lookup"]
            #expect(long == nil || long == 1, "only the existing file was looked up")
        }
    }

    @Test func `every byte but slash and NUL passes through in names and targets`() throws {
        try withMount { mount in
            let bytes = (1...255).filter { $0 != 0x2F }.map { UInt8($0) }
            for part in [bytes[..<127], bytes[127...]] {
                let path = Array(mount.path.utf8) + [0x2F] + part + [0]
                let file = path.withUnsafeBytes {
                    Glibc.open(
                        $0.baseAddress!.assumingMemoryBound(to: CChar.self),
                        O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
                }
                try Call.checked(file)
                close(file)
            }
            let names = mount.files.state.withLock { $0.nodes[.root]!.entries.map(\.name) }
            #expect(names == [Array(bytes[..<127]), Array(bytes[127...])])
        }
    }

    @Test func `a missing name is believed for as long as the filesystem says`() throws {
        try withMount { mount in
            let path = mount.path + "/missing"
            for _ in 0..<3 { #expect(Call.failure { _ = try Call.status(path) } == .noEntry) }
            #expect(mount.files.record.calls["lookup"] == 3)
            mount.files.configure { $0.negativeTimeout = 3_600 }
            mount.files.forgetRecord()
            for _ in 0..<3 { #expect(Call.failure { _ = try Call.status(path) } == .noEntry) }
            #expect(mount.files.record.calls["lookup"] == 1)
        }
    }

    @Test func `a found name is believed for as long as the filesystem says`() throws {
        try withMount { mount in
            mount.files.plant("file")
            mount.files.configure {
                $0.entryTimeout = 3_600
                $0.attributesTimeout = 3_600
            }
            for _ in 0..<5 { _ = try Call.status(mount.path + "/file") }
            #expect(mount.files.record.calls["lookup"] == 1)
            #expect(mount.files.record.calls["getattr", default: 0] <= 1)
        }
    }

    @Test func `who asks and which mode bits to leave out arrive with the request`() throws {
        // Where the filesystem keeps access lists the mode comes as it was asked for: a default list
        // replaces the mask. Else the kernel applies it.
        for (keepsLists, mode) in [(true, mode_t(0o040777)), (false, 0o040750)] {
            try withMount(configure: { $0.accessLists = keepsLists }) { mount in
                let old = umask(0o027)
                defer { umask(old) }
                try Call.checked(mkdir(mount.path + "/dir", 0o777))
                let caller = try #require(mount.files.record.callers["mkdir"])
                #expect(caller.umask == 0o027)
                #expect(caller.userID == 0)
                #expect(caller.processID == gettidOfCaller())
                try #expect(Call.status(mount.path + "/dir").st_mode == mode)
            }
        }
    }
}

@_silgen_name("gettid") private func gettidOfCaller() -> Int32
