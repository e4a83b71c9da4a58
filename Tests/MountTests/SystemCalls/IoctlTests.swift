import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    /// What is not there says so in the way that programs know.
    @Suite struct IoctlTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test func `a control call that no file knows is ENOTTY`() throws {
            try SystemCall.writeFile(place["file"], "text")
            for path in [place["file"], place.path] {
                let file = try Descriptor(path, O_RDONLY)
                // TCGETS: what isatty(3) asks.
                #expect(isatty(file.raw) == 0)
                #expect(errno == ENOTTY)
            }
        }

        @Test func `O_TMPFILE is EOPNOTSUPP, for which programs have another way`() {
            // O_TMPFILE is __O_TMPFILE | O_DIRECTORY (open(2)).
            let flags = 0o20_000_000 | O_DIRECTORY | O_RDWR
            #expect(throws: Errno.notSupported) { try Descriptor(place.path, flags) }
        }
    }
}
