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
    }
}
