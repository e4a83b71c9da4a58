import CLinux
import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct UtimensatTests {
        let place: Place

        init() throws {
            place = try Mount.current.makePlace()
            try SystemCall.writeFile(place["file"])
        }

        /// Before 1970, the ends of 32 bits, and after 2106.
        static let seconds: [Int64] = [
            -2_208_988_800, -1, 0, 1, 1_000_000_000, 2_147_483_647, 2_147_483_648, 4_294_967_296,
            7_258_118_400,
        ]

        @Test(arguments: seconds)
        func `both times are kept to the nanosecond`(seconds: Int64) throws {
            try SystemCall.setTimes(
                place["file"], access: (seconds, 123_456_789),
                modification: (seconds + 1, 999_999_999))
            let status = try SystemCall.stat(place["file"])
            #expect(status.accessTime == Instant(seconds: Int(seconds), nanoseconds: 123_456_789))
            #expect(
                status.modificationTime
                    == Instant(seconds: Int(seconds) + 1, nanoseconds: 999_999_999))
        }

        @Test func `UTIME_OMIT leaves one time and UTIME_NOW takes the clock`() throws {
            let now = Int(APUSFS_UTIME_NOW)
            let omit = Int(APUSFS_UTIME_OMIT)
            try SystemCall.setTimes(place["file"], access: (10, 1), modification: (20, 2))
            try SystemCall.setTimes(place["file"], access: (0, omit), modification: (30, 3))
            #expect(
                try SystemCall.stat(place["file"]).accessTime
                    == Instant(seconds: 10, nanoseconds: 1))
            #expect(
                try SystemCall.stat(place["file"]).modificationTime
                    == Instant(seconds: 30, nanoseconds: 3))
            let before = Instant.now
            try SystemCall.setTimes(place["file"], access: (0, now), modification: (0, omit))
            let status = try SystemCall.stat(place["file"])
            // The kernel's clock for files runs in ticks: a tick behind the precise clock.
            #expect(status.accessTime.seconds >= before.seconds - 1)
            #expect(status.modificationTime == Instant(seconds: 30, nanoseconds: 3))
        }

        @Test func `omitting both changes nothing, not even ctime`() throws {
            let omit = Int(APUSFS_UTIME_OMIT)
            let before = try SystemCall.stat(place["file"])
            try SystemCall.setTimes(place["file"], access: (0, omit), modification: (0, omit))
            let after = try SystemCall.stat(place["file"])
            #expect(after.changeTime == before.changeTime)
            #expect(after.modificationTime == before.modificationTime)
        }

        @Test func `ctime advances with every change of times`() throws {
            let before = try SystemCall.stat(place["file"])
            try SystemCall.setTimes(place["file"], access: (10, 0), modification: (10, 0))
            #expect(try SystemCall.stat(place["file"]).changeTime > before.changeTime)
        }

        @Test func `times of a symbolic link are its own`() throws {
            try SystemCall.symlink("file", place["link"])
            let file = try SystemCall.stat(place["file"])
            try SystemCall.setTimes(place["link"], access: (10, 5), modification: (11, 6))
            #expect(try SystemCall.lstat(place["link"]).modificationTime.seconds == 11)
            #expect(try SystemCall.stat(place["file"]).modificationTime == file.modificationTime)
        }

        @Test func `nanoseconds of a billion are EINVAL`() {
            #expect(throws: Errno.invalid) {
                try SystemCall.setTimes(
                    place["file"], access: (1, 1_000_000_000), modification: (1, 0))
            }
        }

        @Test func `who may write sets the time to now, only the owner to another`() throws {
            let now = Int(APUSFS_UTIME_NOW)
            try SystemCall.chmod(place["file"], 0o666)
            try Person.alice.run {
                try SystemCall.setTimes(place["file"], access: (0, now), modification: (0, now))
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.setTimes(place["file"], access: (1, 0), modification: (1, 0))
                }
            }
            try SystemCall.chmod(place["file"], 0o644)
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.setTimes(place["file"], access: (0, now), modification: (0, now))
                }
            }
        }

        @Test func `a time that was set stands after the data that was written before`() throws {
            let file = try Descriptor(place["file"], O_WRONLY)
            try file.write(Bytes.pattern(200_000, seed: 1))
            try SystemCall.setTimes(place["file"], access: (10, 0), modification: (20, 0))
            try file.sync()
            try file.close()
            #expect(try SystemCall.stat(place["file"]).modificationTime.seconds == 20)
        }
    }
}
