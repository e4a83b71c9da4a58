import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct ChownTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `user and group change together and each alone`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.chown(place["file"], user: 1_001, group: 1_002)
            try SystemCall.chown(place["file"], user: 4_000_000_000)
            try SystemCall.chown(place["file"], group: 4_000_000_001)
            let status = try SystemCall.stat(place["file"])
            #expect(status.st_uid == 4_000_000_000)
            #expect(status.st_gid == 4_000_000_001)
        }

        @Test func `changing nothing succeeds`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.chown(place["file"])
            #expect(try SystemCall.stat(place["file"]).st_uid == getuid())
        }

        @Test func `an owner gives the file to a group of theirs, and to nobody else`() throws {
            let member = Person(Person.alice.user, group: Person.alice.group, groups: [60_009])
            try SystemCall.writeFile(place["file"])
            try SystemCall.chown(place["file"], user: member.user, group: member.group)
            try member.run {
                try SystemCall.chown(place["file"], group: 60_009)
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.chown(place["file"], group: 60_010)
                }
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.chown(place["file"], user: Person.bob.user)
                }
            }
            try Person.bob.run { () throws in
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.chown(place["file"], group: Person.bob.group)
                }
            }
            #expect(try SystemCall.stat(place["file"]).st_gid == 60_009)
        }

        @Test func `a change of owner clears setuid and setgid of a program`() throws {
            let member = Person(Person.alice.user, group: Person.alice.group, groups: [60_009])
            try SystemCall.writeFile(place["file"])
            try SystemCall.chown(place["file"], user: member.user, group: member.group)
            try SystemCall.chmod(place["file"], 0o6755)
            try member.run { try SystemCall.chown(place["file"], group: 60_009) }
            #expect(try SystemCall.stat(place["file"]).permissions == 0o755)
        }

        @Test func `a change of owner leaves the bits of a directory`() throws {
            try SystemCall.mkdir(place["directory"])
            try SystemCall.chmod(place["directory"], 0o2755)
            try SystemCall.chown(place["directory"], user: 1_001, group: 1_002)
            #expect(try SystemCall.stat(place["directory"]).permissions == 0o2755)
        }

        @Test func `ctime advances and mtime does not`() throws {
            try SystemCall.writeFile(place["file"])
            let before = try SystemCall.stat(place["file"])
            try SystemCall.chown(place["file"], user: 1_001)
            let after = try SystemCall.stat(place["file"])
            #expect(after.changeTime > before.changeTime)
            #expect(after.modificationTime == before.modificationTime)
        }
    }
}
