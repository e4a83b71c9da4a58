import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    /// Locks between programs of one mount; sqlite and git build on them.
    @Suite struct LockTests {
        let place: Place

        init() throws {
            place = try Mount.current.makePlace()
            try SystemCall.writeFile(place["file"], "0123456789")
        }

        @Test func `flock excludes another open file, until it is closed`() throws {
            let first = try Descriptor(place["file"], O_RDWR)
            let second = try Descriptor(place["file"], O_RDWR)
            #expect(apusfs_try_flock(first.raw, 1) == 0)
            #expect(apusfs_try_flock(second.raw, 0) == EWOULDBLOCK)
            try first.close()
            #expect(apusfs_try_flock(second.raw, 1) == 0)
        }

        @Test func `two open files share a shared flock`() throws {
            let first = try Descriptor(place["file"], O_RDONLY)
            let second = try Descriptor(place["file"], O_RDONLY)
            #expect(apusfs_try_flock(first.raw, 0) == 0)
            #expect(apusfs_try_flock(second.raw, 0) == 0)
            #expect(apusfs_try_flock(second.raw, 1) == EWOULDBLOCK)
        }

        @Test func `record locks of one process keep another out of their range only`() throws {
            let script = """
                import fcntl, sys
                with open(sys.argv[1], "r+b") as file:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, 4)
                    try:
                        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, 0)
                        print("taken")
                    except OSError as error:
                        print(error.errno)
                """
            let file = try Descriptor(place["file"], O_RDWR)
            var range = flock()
            range.l_type = Int16(F_WRLCK)
            range.l_whence = Int16(SEEK_SET)
            range.l_start = 0
            range.l_len = 2
            #expect(fcntl(file.raw, F_SETLK, &range) == 0)
            let run = try ProgramRun.run(["python3", "-c", script, place["file"]]).checked()
            #expect(run.output == "\(EAGAIN)\n")
        }
    }
}
