import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct MkdirTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a new directory is empty, has two links and the mode that the mask leaves`()
            throws
        {
            let before = try SystemCall.stat(place.path).st_nlink
            try Person.withMask(0o027) { try SystemCall.mkdir(place["new"], 0o777) }
            let status = try SystemCall.stat(place["new"])
            #expect(status.kind == S_IFDIR)
            #expect(status.permissions == 0o750)
            #expect(status.st_nlink == 2)
            #expect(try SystemCall.stat(place.path).st_nlink == before + 1)
            #expect(try Listing.names(place["new"]) == [".", ".."])
        }

        @Test func `a setgid directory hands its group and the bit down`() throws {
            try SystemCall.chown(place.path, group: 60_009)
            try SystemCall.chmod(place.path, 0o2777)
            try Person.alice.run {
                try SystemCall.mkdir(place["directory"])
                try SystemCall.writeFile(place["file"])
                try SystemCall.symlink("x", place["link"])
                try SystemCall.mknod(place["fifo"], S_IFIFO | 0o644)
            }
            let directory = try SystemCall.stat(place["directory"])
            #expect(directory.st_gid == 60_009)
            #expect(directory.permissions & S_ISGID != 0)
            for name in ["file", "link", "fifo"] {
                let status = try SystemCall.lstat(place[name])
                #expect(status.st_gid == 60_009)
                #expect(status.st_uid == Person.alice.user)
                #expect(status.permissions & S_ISGID == 0)
            }
        }

        @Test func `without setgid a new file has the group of its maker`() throws {
            try SystemCall.chmod(place.path, 0o777)
            try Person.alice.run { try SystemCall.mkdir(place["directory"]) }
            #expect(try SystemCall.stat(place["directory"]).st_gid == Person.alice.group)
        }

        @Test func `a setgid file made by a stranger to the group loses the bit`() throws {
            try SystemCall.chown(place.path, group: 60_009)
            try SystemCall.chmod(place.path, 0o2777)
            try Person.alice.run { try SystemCall.writeFile(place["file"], [], mode: 0o2755) }
            #expect(try SystemCall.stat(place["file"]).permissions == 0o755)
        }

        @Test func `a name that is there is EEXIST, whatever it is`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.symlink("nowhere", place["link"])
            for name in ["file", "link", "."] {
                #expect(throws: Errno.exists) { try SystemCall.mkdir(place[name]) }
            }
            #expect(throws: Errno.noEntry) { try SystemCall.mkdir(place["missing/new"]) }
            #expect(throws: Errno.notDirectory) { try SystemCall.mkdir(place["file/new"]) }
        }

        @Test func `who may not write the directory makes nothing in it`() throws {
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) { try SystemCall.mkdir(place["new"]) }
                #expect(throws: Errno.accessDenied) { try SystemCall.writeFile(place["new"]) }
                #expect(throws: Errno.accessDenied) { try SystemCall.symlink("x", place["new"]) }
            }
        }

        @Test func `the parent's mtime and ctime advance`() throws {
            try SystemCall.setTimes(place.path, access: (5, 0), modification: (5, 0))
            try SystemCall.mkdir(place["new"])
            #expect(try SystemCall.stat(place.path).modificationTime.seconds > 5)
        }

        @Test func `directories nest two hundred deep`() throws {
            var path = place.path
            for _ in 0..<200 {
                path += "/deep"
                try SystemCall.mkdir(path)
            }
            try SystemCall.writeFile(path + "/file", "bottom")
            #expect(try SystemCall.readFile(path + "/file") == Array("bottom".utf8))
        }
    }
}
