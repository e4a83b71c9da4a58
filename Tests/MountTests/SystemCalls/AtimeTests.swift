import Primitives
import Testing

extension MountTests {
    /// Access times, as the flags of the mount have them.
    @Suite struct AtimeTests {
        @Test func `noatime never moves them`() throws {
            try withMount(flags: ["--noatime"]) { mount throws in
                #expect(try readMoves(mount, access: 5, modification: 9) == false)
            }
        }

        @Test func `relatime moves one that is older than the last change or a day, and no other`()
            throws
        {
            try withMount(flags: ["--relatime"]) { mount throws in
                #expect(try readMoves(mount, access: 5, modification: 9) == true)
                let now = Int64(Instant.now.seconds)
                #expect(try readMoves(mount, access: now - 90_000, modification: 9) == true)
                // ctime is older than the access time here: both are set at once, ctime to now.
                #expect(try readMoves(mount, access: now + 100, modification: 9) == false)
            }
        }

        @Test func `strictatime moves them at each read`() throws {
            try withMount(flags: ["--strictatime"]) { mount throws in
                let now = Int64(Instant.now.seconds)
                #expect(try readMoves(mount, access: now - 50, modification: 9) == true)
            }
        }

        @Test func `an access time that a read moved is there after mounting again`() throws {
            try withMount(flags: ["--relatime"]) { mount throws in
                #expect(try readMoves(mount, access: 5, modification: 9) == true)
                try mount.remount()
                let names = try Listing.names(mount.path).filter { $0.hasPrefix("file") }
                let status = try SystemCall.stat("\(mount.path)/\(names[0])")
                #expect(status.accessTime.seconds > 5)
                #expect(status.modificationTime.seconds == 9)
            }
        }

        @Test func `a file that was just written, a directory and a link move theirs when read`()
            throws
        {
            try withMount(flags: ["--relatime"]) { mount throws in
                let file = mount.path + "/file"
                try SystemCall.writeFile(file, "text")
                let written = try SystemCall.stat(file)
                _ = try SystemCall.readFile(file)
                let read = try SystemCall.stat(file)
                #expect(read.accessTime > written.accessTime)
                #expect(read.modificationTime == written.modificationTime)
                #expect(read.changeTime == written.changeTime)

                let directory = mount.path + "/directory"
                try SystemCall.mkdir(directory)
                try SystemCall.mkdir(directory + "/sub")
                let made = try SystemCall.stat(directory)
                _ = try Listing.names(directory)
                #expect(try SystemCall.stat(directory).accessTime > made.accessTime)

                let link = mount.path + "/link"
                try SystemCall.symlink("file", link)
                let linked = try SystemCall.lstat(link)
                _ = try SystemCall.readlink(link)
                let followed = try SystemCall.lstat(link)
                #expect(followed.accessTime > linked.accessTime)
                #expect(followed.changeTime == linked.changeTime)

                let paths = [file, directory, link]
                let times = try paths.map { try SystemCall.lstat($0).accessTime }
                try mount.remount()
                #expect(try paths.map { try SystemCall.lstat($0).accessTime } == times)
            }
        }

        /// Does a read of a new file with these times move its access time?
        private func readMoves(
            _ mount: Mount, access: Int64, modification: Int64
        ) throws -> Bool {
            let path = "\(mount.path)/file-\(UInt32.random(in: 0...UInt32.max))"
            try SystemCall.writeFile(path, "text")
            try SystemCall.setTimes(path, access: (access, 0), modification: (modification, 0))
            #expect(try SystemCall.stat(path).accessTime.seconds == Int(access))
            _ = try SystemCall.readFile(path)
            return try SystemCall.stat(path).accessTime.seconds != Int(access)
        }
    }
}
