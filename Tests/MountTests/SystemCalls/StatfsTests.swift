import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    @Suite struct StatfsTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `the figures make sense`() throws {
            let status = try SystemCall.statvfs(place.path)
            #expect(status.f_namemax == 255)
            #expect(status.f_bsize >= 512)
            #expect(status.f_frsize >= 512)
            #expect(status.f_blocks > 0)
            #expect(status.f_bfree <= status.f_blocks)
            #expect(status.f_bavail <= status.f_bfree)
            #expect(status.f_files > 0)
            #expect(status.f_ffree <= status.f_files)
        }

        @Test func `free space falls when a file is stored and rises when it is gone`() throws {
            let size = 8 << 20
            let before = try SystemCall.statvfs(place.path)
            let file = try Descriptor(place["file"], O_WRONLY | O_CREAT)
            try file.writeAll(Bytes.pattern(size, seed: 4))
            try file.sync()
            try file.close()
            let used = { (status: VolumeStatus) in
                Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize)
            }
            let full = try SystemCall.statvfs(place.path)
            // What tests before this one have deleted is dropped in the background meanwhile.
            #expect(used(full) - used(before) >= size * 3 / 4)
            #expect(used(full) - used(before) < size * 3 / 2)
            try SystemCall.unlink(place["file"])
            let isBack = try Polling.wait {
                used(try SystemCall.statvfs(place.path)) < used(full) - size / 2
            }
            #expect(isBack)
        }

        @Test func `used inodes follow files`() throws {
            let used = { (status: VolumeStatus) in Int(status.f_files - status.f_ffree) }
            let before = used(try SystemCall.statvfs(place.path))
            for index in 0..<50 { try SystemCall.writeFile(place["\(index)"]) }
            let isCounted = try Polling.wait {
                used(try SystemCall.statvfs(place.path)) >= before + 50
            }
            #expect(isCounted)
        }
    }
}
