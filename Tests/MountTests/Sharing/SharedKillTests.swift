import CLinux
import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// kill -9 of one of two mounts' daemons at a random moment, while both do one thing again and again: what
    /// the other one sees, and what is there when the first is mounted again. Appends, names, moves and writers
    /// of one file are killed in SharingStressTests.
    @Suite struct SharedKillTests {
        /// `Scale.faultRounds` times: `victim` runs on the mount that is killed until it fails, `survivor` on
        /// the other one until the kill is over, `check` when the first is mounted again.
        private func kill(
            _ what: String, flags: [String] = [], prepare: (SharedVolume) throws -> Void,
            victim: @escaping @Sendable (_ path: String, _ round: Int) throws -> Void,
            survivor: @escaping @Sendable (_ path: String, _ round: Int) throws -> Void,
            check: (SharedVolume) throws -> Void
        ) throws {
            for round in 0..<UInt64(Scale.faultRounds) {
                let seed = Scale.seed &+ round
                print("kill during \(what): seed \(seed)")
                try withMounts(2, flags: flags) { volume in
                    try prepare(volume)
                    let paths = volume.mounts.map(\.path)
                    let killer = Killer(volume.mounts[0], seed: seed)
                    let isOver = Locked(false)
                    try inParallel(2) { number in
                        var count = 0
                        do {
                            while number == 0 || !isOver.withLock({ $0 }) {
                                if number == 0 {
                                    try victim(paths[0], count)
                                } else {
                                    try survivor(paths[1], count)
                                }
                                count += 1
                            }
                        } catch let error as Errno {
                            if number == 0 { isOver.withLock { $0 = true } }
                            guard number == 0, killer.hasKilled else { throw error }
                        }
                    }
                    killer.revive(volume.mounts[0])
                    try check(volume)
                    for path in try FileManager.default.contentsOfDirectory(atPath: paths[1]) {
                        try ProgramRun.run(["rm", "-rf", paths[1] + "/" + path]).checked()
                    }
                    let left = try volume.keysAfterUnmounting()
                    #expect(Set(left).isSubset(of: SharedVolume.emptyKeys), "left: \(left)")
                }
            }
        }

        @Test func `close to open: what was closed before the kill is seen, and nothing older`()
            throws
        {
            let closed = Locked(0)
            try kill(
                "close to open",
                prepare: { volume in
                    closed.withLock { $0 = 0 }
                    try SystemCall.writeFile(volume.mounts[0].path + "/file", "00000000")
                },
                victim: { path, round in
                    // Of one length: a read may meet the next number under the size of this one.
                    let text = String(round)
                    let zeros = String(repeating: "0", count: 8 - text.count)
                    try SystemCall.writeFile(path + "/file", zeros + text)
                    closed.withLock { $0 = round }
                },
                survivor: { path, _ in
                    let least = closed.withLock { $0 }
                    let text = String(
                        decoding: try SystemCall.readFile(path + "/file"), as: UTF8.self)
                    // An open between O_TRUNC and write finds nothing, or zeros.
                    guard let found = Int(text) else {
                        return #expect(text.utf8.allSatisfy { $0 == 0 }, "\(text.debugDescription)")
                    }
                    #expect(found >= least)
                },
                check: { volume in
                    let least = closed.withLock { $0 }
                    for mount in volume.mounts {
                        let bytes = try SystemCall.readFile(mount.path + "/file")
                        let text = String(decoding: bytes, as: UTF8.self)
                        #expect(text.isEmpty || Int(text).map { $0 >= least } == true, "'\(text)'")
                    }
                })
        }

        @Test func `invalidation: nothing stale stays in the caches of who goes on`() throws {
            try kill(
                "invalidation",
                prepare: { volume in
                    try SystemCall.writeFile(volume.mounts[0].path + "/file", "x")
                    try SystemCall.writeFile(volume.mounts[0].path + "/name-0", "x")
                },
                victim: { path, round in
                    try SystemCall.chmod(path + "/file", 0o600 + mode_t(round % 64))
                    try SystemCall.rename("\(path)/name-\(round)", "\(path)/name-\(round + 1)")
                    try SystemCall.setTimes(
                        path + "/file", access: (0, 0), modification: (Int64(round), 0))
                },
                survivor: { path, _ in
                    _ = try SystemCall.stat(path + "/file")
                    for name in try Listing.names(path) { _ = SystemCall.exists(path + "/" + name) }
                },
                check: { volume in
                    // The first mount knows only what the store holds.
                    let (fresh, warm) = (volume.mounts[0].path, volume.mounts[1].path)
                    let expected = try SystemCall.stat(fresh + "/file")
                    let isSeen = try Polling.wait {
                        let found = try SystemCall.stat(warm + "/file")
                        return found.st_mode == expected.st_mode
                            && found.st_mtim.tv_sec == expected.st_mtim.tv_sec
                    }
                    #expect(isSeen)
                    let names = try Listing.names(fresh).sorted()
                    #expect(try Listing.names(warm).sorted() == names)
                    #expect(names.filter { $0.hasPrefix("name-") }.count == 1, "\(names)")
                })
        }

        @Test func `locks: they exclude, go on within the lease, and no counted round is lost`()
            throws
        {
            let counted = Locked(0)
            let holders = Locked(0)
            @Sendable func round(_ path: String) throws {
                let file = try Descriptor(path + "/counter", O_RDWR)
                try SystemCall.checkError(apusfs_lock_file(file.raw, true, true))
                let others = holders.withLock { holders in
                    defer { holders += 1 }
                    return holders
                }
                #expect(others == 0)
                do {
                    // Whoever is killed here gives up before the lock is given on.
                    defer { holders.withLock { $0 -= 1 } }
                    let text = String(decoding: try file.read(20, at: 0), as: UTF8.self)
                    let count = try #require(Int(text), "the counter reads '\(text)'")
                    try file.write(Array(String(count + 1).utf8), at: 0)
                    try file.sync()
                    counted.withLock { $0 += 1 }
                }
                try SystemCall.checkError(apusfs_unlock_file(file.raw))
            }
            try kill(
                "locks",
                prepare: { volume in
                    counted.withLock { $0 = 0 }
                    try SystemCall.writeFile(volume.mounts[0].path + "/counter", "0")
                },
                victim: { path, _ in try round(path) },
                survivor: { path, _ in try round(path) },
                check: { volume in
                    let least = counted.withLock { $0 }
                    // The lock of the dead is given on when its process is found to be gone.
                    try round(volume.mounts[1].path)
                    for mount in volume.mounts {
                        let bytes = try SystemCall.readFile(mount.path + "/counter")
                        let found = try #require(Int(String(decoding: bytes, as: UTF8.self)))
                        // The round that was cut off may have been stored.
                        #expect((least + 1...least + 2).contains(found), "\(found) of \(least)")
                    }
                })
        }

        @Test func `truncation: what was cut off stays away, and writes are there or cut`() throws {
            let offset = 250_000
            let count = 1_000
            let written = Locked<UInt8>(0)
            /// All of the last write, or all zeros, as far as the file goes.
            @Sendable func expectSerial(_ path: String) throws {
                let found = try Descriptor(path + "/file", O_RDONLY).read(count, at: offset)
                let last = written.withLock { $0 }
                #expect(
                    found.allSatisfy { $0 == last } || found.allSatisfy { $0 == 0 },
                    "\(found.count) bytes of \(Set(found)), not of \(last)")
            }
            try kill(
                "truncation",
                prepare: { volume in
                    written.withLock { $0 = 0 }
                    try SystemCall.writeFile(volume.mounts[0].path + "/file")
                },
                victim: { path, round in
                    try SystemCall.truncate(path + "/file", round * 7_919 % 200_000)
                    try SystemCall.truncate(path + "/file", 300_000)
                },
                survivor: { path, round in
                    let value = UInt8(1 + round % 255)
                    let file = try Descriptor(path + "/file", O_RDWR)
                    try file.write([UInt8](repeating: value, count: count), at: offset)
                    try file.sync()
                    try file.close()
                    written.withLock { $0 = value }
                    try expectSerial(path)
                },
                check: { volume in
                    let size = try SystemCall.stat(volume.mounts[0].path + "/file").st_size
                    for mount in volume.mounts {
                        try expectSerial(mount.path)
                        #expect(try SystemCall.stat(mount.path + "/file").st_size == size)
                    }
                })
        }

        @Test func `renames: over a file and of two directories for each other are whole`() throws {
            let named = Locked(0)
            try kill(
                "renames",
                prepare: { volume in
                    named.withLock { $0 = 0 }
                    let path = volume.mounts[0].path
                    try SystemCall.writeFile(path + "/target", "0")
                    for name in ["left", "right"] {
                        try SystemCall.mkdir("\(path)/\(name)")
                        try SystemCall.writeFile("\(path)/\(name)/\(name)")
                    }
                },
                victim: { path, round in
                    try SystemCall.writeFile(path + "/next", String(round))
                    try SystemCall.rename(path + "/next", path + "/target")
                    named.withLock { $0 = round }
                    try SystemCall.rename(
                        path + "/left", path + "/right", flags: UInt32(APUSFS_RENAME_EXCHANGE))
                },
                survivor: { path, _ in
                    let least = named.withLock { $0 }
                    let text = String(
                        decoding: try SystemCall.readFile(path + "/target"), as: UTF8.self)
                    #expect(Int(text).map { $0 >= least } == true, "'\(text)' before \(least)")
                    for name in ["left", "right"] {
                        #expect(try SystemCall.stat("\(path)/\(name)").st_nlink == 2)
                    }
                },
                check: { volume in
                    let least = named.withLock { $0 }
                    let isSame = try Polling.wait {
                        let marks = try volume.mounts.map { mount in
                            try ["left", "right"].map { try Listing.names("\(mount.path)/\($0)") }
                        }
                        return marks[0] == marks[1]
                    }
                    #expect(isSame)
                    for mount in volume.mounts {
                        let found = try SystemCall.readFile(mount.path + "/target")
                        let text = String(decoding: found, as: UTF8.self)
                        #expect(Int(text).map { $0 >= least } == true, "'\(text)' before \(least)")
                        #expect(try SystemCall.stat(mount.path + "/target").st_nlink == 1)
                        let marks = try ["left", "right"].flatMap {
                            try Listing.names("\(mount.path)/\($0)").filter { !$0.hasPrefix(".") }
                        }
                        #expect(marks.sorted() == ["left", "right"])
                        let names = try Set(Listing.names(mount.path)).subtracting([".", ".."])
                        #expect(names.subtracting(["next"]) == ["left", "right", "target"])
                    }
                })
        }

        @Test func `sessions: status shows who is gone, and what it held goes`() throws {
            try withMounts(2) { volume in
                let (here, there) = (volume.mounts[0], volume.mounts[1])
                try SystemCall.writeFile(here.path + "/locked")
                try SystemCall.writeFile(here.path + "/nameless", Bytes.pattern(200_000, seed: 1))
                let script = """
                    import fcntl, os, sys
                    locked = os.open(sys.argv[1] + "/locked", os.O_RDWR)
                    fcntl.lockf(locked, fcntl.LOCK_EX)
                    nameless = os.open(sys.argv[1] + "/nameless", os.O_RDWR)
                    os.unlink(sys.argv[1] + "/nameless")
                    print("ready", flush=True)
                    sys.stdin.read()
                    """
                let program = try Talker(["python3", "-c", script, here.path])
                #expect(try program.line() == "ready")
                let daemon = try #require(here.daemon)
                func status() throws -> [Substring] {
                    try Program.run(["status", there.path]).checked().output.split(separator: "\n")
                        .filter { $0.contains("session") }
                }
                // Open files and locks are said at the renewal of the lease, every ten seconds.
                let isSaid = try Polling.wait(limitSeconds: 30) {
                    try status().contains {
                        $0.contains(":\(here.path), process \(daemon), apusfs ")
                            && $0.contains("2 open files, 1 locks")
                    }
                }
                let said = try status()
                #expect(isSaid, "\(said)")
                #expect(try status().count == 2)
                try here.killDaemon()
                let isGone = try Polling.wait(limitSeconds: 60) {
                    try status().count == 1
                        && volume.keys().allSatisfy {
                            !$0.hasPrefix("{test}l") && !$0.hasPrefix("{test}o")
                                && !$0.hasPrefix("test/b{")
                        }
                }
                let left = try volume.keys()
                #expect(isGone, "\(left)")
                program.kill()
                try here.mount()
                #expect(try status().count == 2)
            }
        }

        @Test
        func `open without a name: what is used elsewhere stays, and goes with the last user`()
            throws
        {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                let bytes = Bytes.pattern(300_000, seed: 3)
                func blocks() throws -> Int {
                    try volume.keys().filter { $0.hasPrefix("test/b{") }.count
                }
                // The mount that took the name away is killed: the other one's program reads on.
                try SystemCall.writeFile(paths[0], bytes)
                let holder = try Descriptor(paths[1], O_RDWR)
                try SystemCall.unlink(paths[0])
                #expect(try Polling.wait { try holder.status().st_nlink == 0 })
                let killer = Killer(volume.mounts[0], seed: Scale.seed)
                killer.revive(volume.mounts[0])
                #expect(try !Polling.wait(limitSeconds: 7) { try blocks() == 0 })
                #expect(try holder.read(300_000, at: 0) == bytes)
                try holder.close()
                #expect(try Polling.wait(limitSeconds: 30) { try blocks() == 0 })
                // The mount of the last user is killed.
                try SystemCall.writeFile(paths[1], bytes)
                let lost = try Descriptor(paths[0], O_RDWR)
                try SystemCall.unlink(paths[1])
                let second = Killer(volume.mounts[0], seed: Scale.seed &+ 1)
                second.revive(volume.mounts[0])
                #expect(try Polling.wait(limitSeconds: 60) { try blocks() == 0 })
                #expect(throws: Errno.self) { try lost.close() }
            }
        }
    }
}
