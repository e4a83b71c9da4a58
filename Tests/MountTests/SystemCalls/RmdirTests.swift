import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct RmdirTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `an empty directory goes and its parent's link count follows`() throws {
            let before = try SystemCall.stat(place.path).st_nlink
            try SystemCall.mkdir(place["directory"])
            try SystemCall.rmdir(place["directory"])
            #expect(!SystemCall.exists(place["directory"]))
            #expect(try SystemCall.stat(place.path).st_nlink == before)
        }

        @Test func `a directory with anything in it is ENOTEMPTY until that is gone`() throws {
            try SystemCall.mkdir(place["directory"])
            try SystemCall.writeFile(place["directory/file"])
            #expect(throws: Errno.directoryNotEmpty) { try SystemCall.rmdir(place["directory"]) }
            try SystemCall.unlink(place["directory/file"])
            try SystemCall.rmdir(place["directory"])
        }

        @Test func `a file is ENOTDIR, a missing name ENOENT, a final dot EINVAL`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.mkdir(place["directory"])
            #expect(throws: Errno.notDirectory) { try SystemCall.rmdir(place["file"]) }
            #expect(throws: Errno.noEntry) { try SystemCall.rmdir(place["missing"]) }
            #expect(throws: Errno.invalid) { try SystemCall.rmdir(place["directory/."]) }
            #expect(throws: Errno.directoryNotEmpty) { try SystemCall.rmdir(place["directory/.."]) }
        }

        @Test func `a removed directory that is open is empty and takes nothing new`() throws {
            try SystemCall.mkdir(place["directory"])
            let open = try Descriptor(place["directory"], O_RDONLY | O_DIRECTORY)
            try SystemCall.rmdir(place["directory"])
            #expect(try open.status().st_nlink == 0)
            #expect(openat(open.raw, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644) == -1)
            #expect(errno == ENOENT)
        }

        @Test func `the mount point itself is busy`() throws {
            #expect(throws: Errno.busy) { try SystemCall.rmdir(Mount.current.path) }
        }
    }
}
