import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    /// Permissions of open, search and access, as users other than root.
    @Suite struct PermissionTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        /// The outcome of opening, as a word.
        private func opening(_ path: String, _ flags: Int32) -> Errno? {
            do throws(Errno) {
                try Descriptor(path, flags).close()
                return nil
            } catch {
                return error
            }
        }

        @Test(
            arguments: [0o400, 0o200, 0o600, 0o040, 0o020, 0o060, 0o004, 0o002, 0o006] as [mode_t])
        func `owner, group and others each have their three bits`(mode: mode_t) throws {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.chown(place["file"], user: Person.alice.user, group: 60_009)
            try SystemCall.chmod(place["file"], mode)
            let member = Person(Person.bob.user, group: Person.bob.group, groups: [60_009])
            for (who, shift) in [(Person.alice, 6), (member, 3), (Person.bob, 0)] {
                let bits = mode >> mode_t(shift) & 7
                try who.run { () throws in
                    #expect(
                        opening(place["file"], O_RDONLY) == (bits & 4 != 0 ? nil : .accessDenied),
                        "reading as \(who)")
                    #expect(
                        opening(place["file"], O_WRONLY) == (bits & 2 != 0 ? nil : .accessDenied),
                        "writing as \(who)")
                    #expect(opening(place["file"], O_RDWR) == (bits & 6 == 6 ? nil : .accessDenied))
                }
            }
            #expect(opening(place["file"], O_RDWR) == nil, "root may")
        }

        @Test func `a directory without search permission hides what is in it`() throws {
            try SystemCall.mkdir(place["closed"])
            try SystemCall.writeFile(place["closed/file"], [], mode: 0o666)
            try SystemCall.chmod(place["closed"], 0o766)
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) { try SystemCall.stat(place["closed/file"]) }
                #expect(throws: Errno.accessDenied) {
                    try SystemCall.readFile(place["closed/file"])
                }
                #expect(throws: Errno.accessDenied) { try SystemCall.stat(place["closed/missing"]) }
            }
        }

        @Test func `access answers for the real user`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.chmod(place["file"], 0o754)
            try SystemCall.chown(place["file"], user: Person.alice.user, group: 60_009)
            try Person.alice.run { try SystemCall.access(place["file"], R_OK | W_OK | X_OK) }
            try Person.bob.run {
                try SystemCall.access(place["file"], R_OK)
                try SystemCall.access(place["file"], F_OK)
                #expect(throws: Errno.accessDenied) { try SystemCall.access(place["file"], W_OK) }
                #expect(throws: Errno.accessDenied) { try SystemCall.access(place["file"], X_OK) }
            }
        }

        @Test func `root executes nothing that nobody may`() throws {
            try SystemCall.writeFile(place["file"], "#!/bin/sh\n")
            #expect(throws: Errno.accessDenied) { try SystemCall.access(place["file"], X_OK) }
            try SystemCall.chmod(place["file"], 0o001)
            try SystemCall.access(place["file"], X_OK)
        }
    }
}
