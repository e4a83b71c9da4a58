import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

@Suite(.serialized, .timeLimit(.minutes(1))) struct AttributeTests {
    @Test func `stat shows every field as the filesystem gave it`() throws {
        try withMount { mount in
            let inode = mount.files.plant("file")
            mount.files.change(inode) { node in
                node.attributes.permissions = 0o6751
                node.attributes.linkCount = 7
                node.attributes.userID = 1_001
                node.attributes.groupID = 4_294_967_294
                node.attributes.size = 1 << 40
                node.attributes.storedSectors = 123_456
                node.attributes.preferredIOBytes = 131_072
                node.attributes.accessTime = Timestamp(seconds: -1, nanoseconds: 999_999_999)
                node.attributes.modificationTime = Timestamp(seconds: 1, nanoseconds: 2)
                node.attributes.changeTime = Timestamp(seconds: 4_600_000_000, nanoseconds: 3)
            }
            let status = try Call.status(mount.path + "/file")
            #expect(status.st_ino == inode.rawValue)
            #expect(status.st_mode == 0o106751)
            #expect(status.st_nlink == 7)
            #expect(status.st_uid == 1_001)
            #expect(status.st_gid == 4_294_967_294)
            #expect(status.st_size == 1 << 40)
            #expect(status.st_blocks == 123_456)
            #expect(status.st_blksize == 131_072)
            #expect(status.st_atim.tv_sec == -1 && status.st_atim.tv_nsec == 999_999_999)
            #expect(status.st_mtim.tv_sec == 1 && status.st_mtim.tv_nsec == 2)
            #expect(status.st_ctim.tv_sec == 4_600_000_000 && status.st_ctim.tv_nsec == 3)
        }
    }

    @Test func `each change of attributes arrives alone and complete`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            mount.files.plant("file", data: [1, 2, 3])
            try Call.checked(chmod(path, 0o4711))
            try Call.checked(chown(path, 12, 34))
            try Call.checked(truncate(path, 5))
            let changes = mount.files.record.changes
            try #require(changes.count == 3)
            #expect(changes[0].permissions == 0o4711)
            #expect(changes[0].userID == nil && changes[0].size == nil)
            #expect(changes[1].userID == 12 && changes[1].groupID == 34)
            #expect(changes[1].size == nil)
            #expect(changes[2].size == 5)
            #expect(changes[2].userID == nil && changes[2].permissions == nil)
            try #expect(Call.contents(path) == [1, 2, 3, 0, 0])
        }
    }

    @Test func `times arrive as now, as given, or not at all`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            mount.files.plant("file")
            let now = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
            let omit = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
            for times in [
                [now, omit], [omit, now],
                [timespec(tv_sec: -5, tv_nsec: 7), timespec(tv_sec: 5_000_000_000, tv_nsec: 8)],
            ] {
                try Call.checked(utimensat(AT_FDCWD, path, times, 0))
            }
            let changes = mount.files.record.changes
            try #require(changes.count == 3)
            #expect(changes[0].accessTime == .now && changes[0].modificationTime == nil)
            #expect(changes[1].accessTime == nil && changes[1].modificationTime == .now)
            #expect(changes[2].accessTime == .to(Timestamp(seconds: -5, nanoseconds: 7)))
            #expect(
                changes[2].modificationTime
                    == .to(Timestamp(seconds: 5_000_000_000, nanoseconds: 8)))
        }
    }

    @Test func `statfs tells sizes in fragments and the preferred size of requests`() throws {
        try withMount { mount in
            var status = statvfs()
            try Call.checked(statvfs(mount.path, &status))
            #expect(status.f_bsize == 1 << 20)
            #expect(status.f_frsize == 4_096)
            #expect(status.f_blocks == 1_000)
            #expect(status.f_bfree == 600)
            #expect(status.f_bavail == 500)
            #expect(status.f_files == 500)
            #expect(status.f_ffree == 300)
            #expect(status.f_namemax == 255)
        }
    }

    @Test func `access is asked only where the kernel does not check permissions itself`() throws {
        for checks in [true, false] {
            try withMount(configure: { $0.defaultPermissions = checks }) { mount in
                mount.files.plant("file")
                try Call.checked(access(mount.path + "/file", R_OK))
                #expect((mount.files.record.calls["access"] ?? 0) == (checks ? 0 : 1))
            }
        }
    }
}
