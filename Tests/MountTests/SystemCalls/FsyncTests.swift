import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct FsyncTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `files sync for readers and writers, data alone, and directories`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll(Bytes.pattern(300_000, seed: 1))
            try file.sync()
            #expect(fdatasync(file.raw) == 0)
            try Descriptor(place["file"], O_RDONLY).sync()
            try Listing.Stream(place.path).sync()
            #expect(apusfs_sync_filesystem(place.path) == 0)
        }

        @Test func `what cannot be synced is EBADF or EINVAL`() throws {
            #expect(fsync(-1) == -1)
            #expect(errno == EBADF)
            #expect(fdatasync(1_000_000) == -1)
            #expect(errno == EBADF)
            try SystemCall.mkfifo(place["fifo"])
            let pipe = try Descriptor(place["fifo"], O_RDWR)
            #expect(throws: Errno.invalid) { try pipe.sync() }
        }

        @Test func `a file without a name syncs, too`() throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try file.writeAll(Bytes.pattern(200_000, seed: 2))
            try SystemCall.unlink(place["file"])
            try file.sync()
            #expect(try file.read(200_000, at: 0) == Bytes.pattern(200_000, seed: 2))
        }
    }
}
