import CLinux
import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Locks among the programs of two mounts of one volume.
    @Suite struct SharedLockTests {
        /// Takes a lock in another process, says so, and holds it until its input ends: python has flock,
        /// fcntl and open-file-description locks, and can be told to wait, or be killed.
        private static let holder = """
            import fcntl, os, struct, sys
            path, kind, begin, length, wait = sys.argv[1:6]
            file = os.open(path, os.O_RDWR)
            try:
                if kind == "flock":
                    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait == "wait" else fcntl.LOCK_NB))
                else:
                    command = {
                        ("posix", "wait"): fcntl.F_SETLKW, ("posix", "try"): fcntl.F_SETLK,
                        ("ofd", "wait"): fcntl.F_OFD_SETLKW, ("ofd", "try"): fcntl.F_OFD_SETLK,
                    }[kind, wait]
                    record = struct.pack(
                        "hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, int(begin), int(length), 0)
                    fcntl.fcntl(file, command, record)
            except OSError as error:
                print("errno", error.errno, flush=True)
                sys.exit(1)
            print("locked", os.getpid(), flush=True)
            sys.stdin.read()
            """

        private static let kinds = ["posix", "ofd", "flock"]

        private func hold(
            _ path: String, _ kind: String, _ range: Range<Int> = 0..<10, waits: Bool = false
        ) throws -> Talker {
            try Talker([
                "python3", "-c", Self.holder, path, kind, String(range.lowerBound),
                String(range.count), waits ? "wait" : "try",
            ])
        }

        private func file(_ volume: SharedVolume) throws -> (String, String) {
            try SystemCall.writeFile(volume.mounts[0].path + "/file", "0123456789")
            return (volume.mounts[0].path + "/file", volume.mounts[1].path + "/file")
        }

        @Test func `each kind of lock excludes programs of the other mount until it ends`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                for kind in Self.kinds {
                    let holder = try hold(here, kind)
                    #expect(try holder.line().hasPrefix("locked"), "\(kind)")
                    let second = try hold(there, kind)
                    #expect(try second.line() == "errno \(EAGAIN)", "\(kind)")
                    let waiting = try hold(there, kind, waits: true)
                    holder.endInput()
                    #expect(try waiting.line().hasPrefix("locked"), "\(kind)")
                    waiting.endInput()
                    waiting.wait()
                    let after = try hold(here, kind, waits: true)
                    #expect(try after.line().hasPrefix("locked"), "\(kind)")
                    after.kill()
                    let last = try hold(there, kind, waits: true)
                    #expect(try last.line().hasPrefix("locked"), "a killed program's, \(kind)")
                    last.endInput()
                    last.wait()
                }
                // The kernel tells the daemon of a close after the program has ended.
                #expect(
                    try Polling.wait {
                        try volume.keys().allSatisfy { !$0.hasPrefix("{test}l") }
                    })
            }
        }

        @Test func `F_GETLK names the holder, also one at the other mount`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                let holder = try hold(here, "posix", 3..<7)
                let words = try holder.line().split(separator: " ")
                let pid = try #require(words.last.flatMap { pid_t($0) })
                for path in [here, there] {
                    let file = try Descriptor(path, O_RDWR)
                    var lock = flock()
                    lock.l_type = Int16(F_WRLCK)
                    #expect(fcntl(file.raw, F_GETLK, &lock) == 0)
                    #expect(lock.l_type == Int16(F_WRLCK))
                    #expect(lock.l_start == 3 && lock.l_len == 4)
                    #expect(lock.l_pid == pid)
                    lock = flock()
                    lock.l_type = Int16(F_RDLCK)
                    lock.l_start = 7
                    #expect(fcntl(file.raw, F_GETLK, &lock) == 0)
                    #expect(lock.l_type == Int16(F_UNLCK))
                }
                holder.endInput()
            }
        }

        @Test func `a program that waits can be killed, and leaves the line`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                let holder = try hold(here, "posix")
                #expect(try holder.line().hasPrefix("locked"))
                // More than the daemon has workers: they wait without holding any.
                let waiting = try (0..<20).map { _ in try hold(there, "posix", waits: true) }
                #expect(try Polling.wait(limitSeconds: 60) { try waiterCount(volume) == 20 })
                #expect(try SystemCall.readFile(there) == Array("0123456789".utf8))
                for program in waiting.dropLast() { program.kill() }
                holder.endInput()
                let last = try #require(waiting.last)
                #expect(try last.line().hasPrefix("locked"))
                last.endInput()
                last.wait()
                #expect(
                    try Polling.wait { try volume.keys().allSatisfy { !$0.hasPrefix("{test}l") } })
            }
        }

        private func waiterCount(_ volume: SharedVolume) throws -> Int {
            try volume.keys().filter { $0.hasPrefix("{test}w") }.reduce(0) { sum, key in
                sum + (Int(try volume.server.cli("hlen", key)) ?? 0)
            }
        }

        @Test func `programs of two mounts that wait for each other are told so`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                let script = """
                    import fcntl, os, sys
                    file = os.open(sys.argv[1], os.O_RDWR)
                    first, second = int(sys.argv[2]), int(sys.argv[3])
                    fcntl.lockf(file, fcntl.LOCK_EX, 1, first)
                    print("first", flush=True)
                    sys.stdin.readline()
                    try:
                        fcntl.lockf(file, fcntl.LOCK_EX, 1, second)
                        print("second", flush=True)
                    except OSError as error:
                        print("errno", error.errno, flush=True)
                    """
                let left = try Talker(["python3", "-c", script, here, "0", "1"])
                let right = try Talker(["python3", "-c", script, there, "1", "0"])
                #expect(try left.line() == "first")
                #expect(try right.line() == "first")
                left.say("go")
                right.say("go")
                let answers = try Set([left.line(), right.line()])
                #expect(answers.contains("errno \(EDEADLK)"))
                #expect(answers.isSubset(of: ["errno \(EDEADLK)", "second"]))
            }
        }

        @Test func `closing any descriptor of a file gives up the process's record locks`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                let script = """
                    import fcntl, os, sys
                    file = os.open(sys.argv[1], os.O_RDWR)
                    fcntl.lockf(file, fcntl.LOCK_EX)
                    os.close(os.open(sys.argv[1], os.O_RDONLY))
                    print("closed", flush=True)
                    sys.stdin.read()
                    """
                let program = try Talker(["python3", "-c", script, here])
                #expect(try program.line() == "closed")
                let other = try hold(there, "posix")
                #expect(try other.line().hasPrefix("locked"))
            }
        }

        @Test
        func `a mount that was stopped until others took it for dead changes nothing of theirs`()
            throws
        {
            let count = 100_000
            let writer = """
                import fcntl, os, sys
                file = os.open(sys.argv[1], os.O_RDWR)
                fcntl.flock(file, fcntl.LOCK_EX)
                os.pwrite(file, b"A" * int(sys.argv[2]), 0)
                print("written", flush=True)
                sys.stdin.readline()
                try:
                    os.fsync(file)
                    print("synced", flush=True)
                except OSError as error:
                    print("errno", error.errno, flush=True)
                """
            // The dirty bytes wait for the program's fsync.
            try withMounts(2, flags: ["--flush-interval", "3600"]) { volume in
                let paths = volume.paths("file")
                try SystemCall.writeFile(
                    paths[0], [UInt8](repeating: UInt8(ascii: "o"), count: count))
                let program = try Talker(["python3", "-c", writer, paths[0], "\(count)"])
                #expect(try program.line() == "written")
                let waiting = try hold(paths[1], "flock", waits: true)
                let daemon = try #require(volume.mounts[0].daemon)
                let session = try #require(try sessions(volume, of: volume.mounts[0]).first)
                volume.proxies[0].hold()
                program.say("sync")
                // The proxy takes a part of what the daemon sends, whose socket holds the rest.
                #expect(Polling.wait { volume.proxies[0].heldBytes >= 10_000 })
                kill(daemon, SIGSTOP)
                defer { kill(daemon, SIGCONT) }
                // As if thirty seconds were over.
                try volume.server.cli("zadd", "{test}s", "1", session)
                #expect(try waiting.line(limitSeconds: 60).hasPrefix("locked"))
                let bytes = [UInt8](repeating: UInt8(ascii: "B"), count: count)
                let file = try Descriptor(paths[1], O_RDWR)
                try file.write(bytes, at: 0)
                try file.sync()
                // What it had sent goes on, and it wakes.
                volume.leaveAlone()
                kill(daemon, SIGCONT)
                #expect(try program.line() == "errno \(EIO)")
                #expect(
                    try Polling.wait {
                        try sessions(volume, of: volume.mounts[0]).contains { $0 != session }
                    })
                for path in paths { #expect(try SystemCall.readFile(path) == bytes) }
                waiting.endInput()
                waiting.wait()
            }
        }

        /// The sessions that a mount has registered.
        private func sessions(_ volume: SharedVolume, of mount: Mount) throws -> [String] {
            let ids = try volume.server.cli("zrange", "{test}s", "0", "-1").split(separator: "\n")
            return try ids.map(String.init).filter { id in
                try volume.server.cli("hget", "{test}s\(id)", "mount")
                    .trimmingCharacters(in: .whitespacesAndNewlines) == mount.path
            }
        }

        @Test func `the locks of a daemon that was killed go to those who wait`() throws {
            try withMounts(2) { volume in
                let (here, there) = try file(volume)
                let holder = try hold(here, "flock")
                #expect(try holder.line().hasPrefix("locked"))
                let waiting = try hold(there, "flock", waits: true)
                try volume.mounts[0].killDaemon()
                // The other mount looks after dead processes of its machine every ten seconds.
                #expect(try waiting.line(limitSeconds: 60).hasPrefix("locked"))
            }
        }
    }
}
