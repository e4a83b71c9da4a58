import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

@Suite(.serialized, .timeLimit(.minutes(1))) struct ExtendedAttributeTests {
    @Test func `a value is set, measured, read and removed`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            mount.files.plant("file")
            let value = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
            try Call.setxattr(path, "user.long.name", value)
            try Call.setxattr(path, "user.empty", [])
            try #expect(Call.getxattr(path, "user.long.name", room: 0).count == 300)
            try #expect(Call.getxattr(path, "user.long.name", room: 300) == value)
            try #expect(Call.getxattr(path, "user.long.name", room: 1_000) == value)
            try #expect(Call.getxattr(path, "user.empty", room: 10) == [])
            let list = Array("user.empty\0user.long.name\0".utf8)
            try #expect(Call.listxattr(path, room: 0).count == list.count)
            try #expect(Call.listxattr(path, room: 100) == list)
            try Call.removexattr(path, "user.empty")
            #expect(
                Call.failure { _ = try Call.getxattr(path, "user.empty", room: 0) } == .noAttribute)
        }
    }

    @Test func `too little room is ERANGE`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            mount.files.plant("file")
            try Call.setxattr(path, "user.a", [1, 2, 3, 4])
            #expect(Call.failure { _ = try Call.getxattr(path, "user.a", room: 3) } == .outOfRange)
            #expect(Call.failure { _ = try Call.listxattr(path, room: 6) } == .outOfRange)
            try #expect(Call.getxattr(path, "user.a", room: 4) == [1, 2, 3, 4])
        }
    }

    @Test func `a stored value of more than 64 KiB is E2BIG, one of 64 KiB is read`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            let inode = mount.files.plant("file")
            let largest = [UInt8](repeating: 7, count: 65_536)
            try Call.setxattr(path, "user.a", largest)
            try #expect(Call.getxattr(path, "user.a", room: 65_536) == largest)
            mount.files.change(inode) {
                $0.extendedAttributes[Array("user.a".utf8)] = largest + [7]
            }
            for room in [0, 65_536] {
                #expect(
                    Call.failure { _ = try Call.getxattr(path, "user.a", room: room) }
                        == .argumentListTooLong)
            }
        }
    }

    @Test func `create and replace exclude each other's case`() throws {
        try withMount { mount in
            let path = mount.path + "/file"
            mount.files.plant("file")
            #expect(
                Call.failure { try Call.setxattr(path, "user.a", [1], flags: 2) } == .noAttribute)
            try Call.setxattr(path, "user.a", [1], flags: 1)
            #expect(Call.failure { try Call.setxattr(path, "user.a", [2], flags: 1) } == .exists)
            try Call.setxattr(path, "user.a", [3], flags: 2)
            try #expect(Call.getxattr(path, "user.a", room: 9) == [3])
        }
    }

    @Test func `a write asks for security capability at most once for each inode`() throws {
        try withMount { mount in
            let file = try Call.open(mount.path + "/file", O_CREAT | O_WRONLY)
            defer { close(file) }
            for index in 0..<50 { try Call.write(file, [1], at: index) }
            #expect(mount.files.record.calls["getxattr", default: 0] <= 1)
            #expect(mount.files.record.calls["write"] == 50)
        }
    }
}
