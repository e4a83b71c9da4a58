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
            // The kernel tells of a last close without waiting (docs/SEMANTICS.md).
            #expect(Polling.wait(limitSeconds: 10) { apusfs_try_flock(second.raw, 1) == 0 })
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

        @Test func `ranges and kinds that are none are EINVAL or EOVERFLOW`() throws {
            let file = try Descriptor(place["file"], O_RDWR)
            #expect(setLock(file, F_WRLCK, start: -1, count: 1) == EINVAL)
            #expect(setLock(file, F_WRLCK, start: 5, count: -6) == EINVAL)
            #expect(setLock(file, F_WRLCK, start: Int.max, count: 2) == EOVERFLOW)
            #expect(setLock(file, 99, start: 0, count: 1) == EINVAL)
            #expect(setLock(file, F_WRLCK, start: 0, count: 1, whence: 9) == EINVAL)
            #expect(setLock(file, F_WRLCK, start: Int.max, count: 1) == 0)
            #expect(setLock(file, F_WRLCK, start: 5, count: -5) == 0)
            #expect(setLock(file, F_UNLCK, start: 0, count: 0) == 0)
            #expect(flock(file.raw, 0) == -1)
            #expect(errno == EINVAL)
        }

        /// What Python's fcntl is told; each line of the program prints a name and an error, or 0.
        private static let prelude = """
            import errno, fcntl, os, signal, sys
            def tried(name, action):
                try: action(); os.write(1, f"{name} 0\\n".encode())
                except OSError as error: os.write(1, f"{name} {os.strerror(error.errno)}\\n".encode())
            def interrupted(*_): raise OSError(errno.EINTR, "interrupted")
            # The threads of the test, whose mask a child inherits, block signals.
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            path = sys.argv[1]
            file = open(path, "r+b")

            """

        private func python(_ script: String) throws -> String {
            try ProgramRun.run(["python3", "-c", Self.prelude + script, place["file"]])
                .checked().output
        }

        @Test func `a wait for a lock that a signal interrupts is EINTR`() throws {
            let output = try python(
                """
                held = os.open(path, os.O_RDWR)
                fcntl.flock(held, fcntl.LOCK_EX)
                ready, told = os.pipe()
                child = os.fork()
                if child == 0:
                    mine = open(path, "r+b")
                    fcntl.lockf(mine, fcntl.LOCK_EX)
                    os.write(told, b"x")
                    signal.pause()
                os.read(ready, 1)
                signal.signal(signal.SIGALRM, interrupted)
                for name, wait in [("flock", lambda: fcntl.flock(file, fcntl.LOCK_EX)),
                                   ("fcntl", lambda: fcntl.lockf(file, fcntl.LOCK_EX))]:
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
                    tried(name, wait)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                tried("after", lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
                """)
            let interrupted = "Interrupted system call"
            #expect(output == "flock \(interrupted)\nfcntl \(interrupted)\nafter 0\n")
        }

        @Test func `of two programs that wait for each other at least one is told EDEADLK`() throws
        {
            let output = try python(
                """
                ready, told = os.pipe()
                go, going = os.pipe()
                child = os.fork()
                if child == 0:
                    mine = open(path, "r+b")
                    fcntl.lockf(mine, fcntl.LOCK_EX, 1, 1)
                    os.write(told, b"x")
                    os.read(go, 1)
                    tried("second", lambda: fcntl.lockf(mine, fcntl.LOCK_EX, 1, 0))
                    os._exit(0)
                fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
                os.read(ready, 1)
                os.write(going, b"x")
                tried("first", lambda: fcntl.lockf(file, fcntl.LOCK_EX, 1, 1))
                fcntl.lockf(file, fcntl.LOCK_UN)
                os.waitpid(child, 0)
                """)
            let told = output.split(separator: "\n").map(String.init).sorted()
            let deadlock = "Resource deadlock avoided"
            // Both, when they begin to wait at the same moment (docs/SEMANTICS.md).
            let possible = [
                ["first \(deadlock)", "second 0"], ["first 0", "second \(deadlock)"],
                ["first \(deadlock)", "second \(deadlock)"],
            ]
            #expect(possible.contains(told), "\(output)")
        }

        private func setLock(
            _ file: Descriptor, _ kind: Int32, start: Int, count: Int, whence: Int32 = SEEK_SET
        ) -> Int32 {
            var range = Glibc.flock()
            range.l_type = Int16(kind)
            range.l_whence = Int16(whence)
            range.l_start = start
            range.l_len = count
            return fcntl(file.raw, F_SETLK, &range) == 0 ? 0 : errno
        }
    }
}
