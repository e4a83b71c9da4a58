import CLinux
import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Random operations on several mounts of one volume, whose connections to the store are delayed, cut and
    /// thereby reordered at random, and whose daemons may be killed; invariants of each file are checked at
    /// the end. `APUSFS_TEST_SCALE=full`, or the numbers `APUSFS_TEST_SHARING_…`, for long runs.
    @Suite struct SharingStressTests {
        private static let threads = 2

        /// Runs `body` for each thread of each mount while connections are disturbed, then checks.
        private func stress(
            _ what: String, kills: Bool = false, prepare: (SharedVolume) throws -> Void,
            body:
                @escaping @Sendable (_ mount: String, _ thread: Int, inout SeededRandom) throws ->
                Void, check: (SharedVolume) throws -> Void
        ) throws {
            let seed = Scale.seed
            print("\(what): seed \(seed), \(Scale.sharingMounts) mounts")
            try withMounts(Scale.sharingMounts, limitSeconds: 3_600) { volume in
                try prepare(volume)
                volume.disturb(seed: seed)
                let paths = volume.mounts.map(\.path)
                let victim = kills ? paths[0] : nil
                let killer = kills ? Killer(volume.mounts[0], seed: seed) : nil
                try inParallel(paths.count * Self.threads) { number in
                    var random = SeededRandom(seed: seed &+ UInt64(number))
                    let path = paths[number % paths.count]
                    do {
                        try body(path, number, &random)
                    } catch let error as Errno {
                        // The programs of a mount that is killed fail; those of the others must not.
                        let isDead = killer?.hasKilled == true && path == victim
                        if !isDead { throw error }
                    }
                }
                volume.leaveAlone()
                killer?.revive(volume.mounts[0])
                try check(volume)
                for path in try FileManager.default.contentsOfDirectory(atPath: paths[0]) {
                    try ProgramRun.run(["rm", "-rf", paths[0] + "/" + path]).checked()
                }
                let left = try volume.keysAfterUnmounting()
                #expect(Set(left).isSubset(of: SharedVolume.emptyKeys), "left: \(left)")
            }
        }

        @Test(arguments: [false, true])
        func `no append is lost or torn, and each is there once`(_ kills: Bool) throws {
            let written = Locked<[Int: Int]>([:])
            try stress(
                "appends", kills: kills,
                prepare: { try SystemCall.writeFile($0.mounts[0].path + "/log", "") },
                body: { mount, thread, random in
                    try AppendLog.write(
                        to: mount + "/log", writer: thread, records: Scale.sharingOperations,
                        isReopening: true, seed: random.next()
                    ) { number in written.withLock { $0[thread] = number } }
                },
                check: { volume in
                    for mount in volume.mounts {
                        let bytes = try SystemCall.readFile(mount.path + "/log")
                        let log = try AppendLog(parsing: bytes)
                        for (writer, last) in written.withLock({ $0 }) {
                            let found = log.sequences[writer] ?? []
                            #expect(
                                found.starts(with: 0...last) && Set(found).count == found.count,
                                "writer \(writer) closed \(last), found \(found)")
                        }
                    }
                })
        }

        @Test(arguments: [false, true])
        func `directories that move at random form no cycle, and none is lost`(_ kills: Bool) throws
        {
            let count = 8
            try stress(
                "moves", kills: kills,
                prepare: { volume in
                    for number in 0..<count {
                        let path = volume.mounts[0].path + "/\(number)"
                        try SystemCall.mkdir(path)
                        try SystemCall.writeFile(path + "/is-\(number)", "")
                    }
                },
                body: { mount, _, random in
                    for _ in 0..<Scale.sharingOperations {
                        let places = Self.directories(below: mount)
                        guard let from = places.randomElement(using: &random),
                            let to = places.randomElement(using: &random)
                        else { continue }
                        let target =
                            Bool.random(using: &random)
                            ? mount : mount + "/" + to
                        do throws(Errno) {
                            let isExchange = Int.random(in: 0..<4, using: &random) == 0
                            if isExchange {
                                try SystemCall.rename(
                                    mount + "/" + from, mount + "/" + to,
                                    flags: UInt32(APUSFS_RENAME_EXCHANGE))
                            } else {
                                let name = from.split(separator: "/").last ?? ""
                                try SystemCall.rename(
                                    mount + "/" + from, target + "/" + String(name))
                            }
                        } catch {
                            // Moved away, below itself, or in the way by now; ELOOP is how the kernel
                            // says that what it has cached contradicts what it has just been told.
                            let expected: Set<Errno> = [
                                .noEntry, .invalid, .directoryNotEmpty, .exists, .stale,
                                Errno(rawValue: ELOOP),
                            ]
                            guard expected.contains(error) else { throw error }
                        }
                    }
                },
                check: { volume in
                    for mount in volume.mounts {
                        let found = Self.directories(below: mount.path)
                        #expect(found.count == count, "\(found)")
                        var marks: [String] = []
                        for path in [""] + found {
                            let place = mount.path + "/" + path
                            let names = try Listing.names(place).filter { !$0.hasPrefix(".") }
                            marks += names.filter { $0.hasPrefix("is-") }
                            let subdirectories = names.filter { !$0.hasPrefix("is-") }.count
                            #expect(
                                try SystemCall.stat(place).st_nlink == 2 + subdirectories, "\(path)"
                            )
                        }
                        #expect(marks.sorted() == (0..<count).map { "is-\($0)" }.sorted())
                    }
                })
        }

        /// Paths of all directories, found level by level; what moves meanwhile may be missed.
        private static func directories(below mount: String) -> [String] {
            var found: [String] = []
            var next = [""]
            while let path = next.popLast(), found.count < 1_000 {
                let names =
                    (try? FileManager.default.contentsOfDirectory(atPath: mount + path)) ?? []
                for name in names where !name.hasPrefix("is-") {
                    found.append(String((path + "/" + name).dropFirst()))
                    next.append(path + "/" + name)
                }
            }
            return found
        }

        @Test(arguments: [false, true])
        func `names made, linked and removed at random leave right link counts`(
            _ kills: Bool
        ) throws {
            let winners = Locked<[String: Int]>([:])
            try stress(
                "names", kills: kills,
                prepare: { volume in
                    try SystemCall.mkdir(volume.mounts[0].path + "/d")
                    for number in 0..<4 {
                        try SystemCall.writeFile("\(volume.mounts[0].path)/d/base-\(number)", "x")
                    }
                },
                body: { mount, thread, random in
                    for round in 0..<Scale.sharingOperations {
                        let base = "\(mount)/d/base-\(Int.random(in: 0..<4, using: &random))"
                        let name = "link-\(Int.random(in: 0..<6, using: &random))"
                        let path = mount + "/d/" + name
                        do throws(Errno) {
                            switch Int.random(in: 0..<5, using: &random) {
                            case 0: try SystemCall.link(base, path)
                            case 1: try SystemCall.unlink(path)
                            case 2:
                                try SystemCall.rename(
                                    path, mount + "/d/link-\(Int.random(in: 0..<6, using: &random))"
                                )
                            case 3:
                                try SystemCall.writeFile(path + "-\(thread)", "\(round)")
                                try SystemCall.rename(path + "-\(thread)", path)
                            default:
                                try SystemCall.mkdir("\(mount)/once-\(round)")
                                winners.withLock { $0["once-\(round)", default: 0] += 1 }
                            }
                        } catch {
                            guard [.exists, .noEntry, .stale].contains(error) else { throw error }
                        }
                    }
                },
                check: { volume in
                    #expect(winners.withLock { $0.values.allSatisfy { $0 == 1 } })
                    for mount in volume.mounts {
                        // What the last operations elsewhere changed is heard of a moment later.
                        var counts: [UInt64: (seen: Int, said: Int)] = [:]
                        let isRight = try Polling.wait(limitSeconds: 10) {
                            counts = try linkCounts(mount.path + "/d")
                            return counts.values.allSatisfy { $0.seen == $0.said }
                        }
                        let wrong = counts.filter { $0.value.seen != $0.value.said }
                        let stored = try wrong.keys.map { inode in
                            try "\(inode): n = "
                                + volume.server.cli("HGET", "{test}i\(inode)", "n")
                        }
                        #expect(isRight, "\(mount.path): \(counts); stored: \(stored)")
                        let names = try Listing.names(mount.path + "/d")
                        #expect((0..<4).allSatisfy { names.contains("base-\($0)") })
                    }
                })
        }

        /// How many names of a directory lead to each inode, and what the inode says.
        private func linkCounts(
            _ directory: String
        ) throws -> [UInt64: (seen: Int, said: Int)] {
            var counts: [UInt64: (seen: Int, said: Int)] = [:]
            for name in try Listing.names(directory) where !name.hasPrefix(".") {
                let status = try SystemCall.lstat(directory + "/" + name)
                counts[UInt64(status.st_ino), default: (0, 0)].seen += 1
                counts[UInt64(status.st_ino)]?.said = Int(status.st_nlink)
            }
            return counts
        }

        /// What lies behind the end of a file that others make longer reads as zeros later.
        private static func padded(_ bytes: [UInt8], to count: Int) -> [UInt8] {
            bytes + [UInt8](repeating: 0, count: max(0, count - bytes.count))
        }

        @Test(arguments: [false, true])
        func `each writer finds its last synced bytes in its part of a shared file`(
            _ kills: Bool
        ) throws {
            let strip = 7_001
            let synced = Locked<[Int: (bytes: [UInt8], isCertain: Bool)]>([:])
            try stress(
                "strips", kills: kills,
                prepare: { try SystemCall.writeFile($0.mounts[0].path + "/file", "") },
                body: { mount, thread, random in
                    let file = try Descriptor(mount + "/file", O_RDWR)
                    var own = [UInt8](repeating: 0, count: strip)
                    for _ in 0..<Scale.sharingOperations {
                        let start = Int.random(in: 0..<strip, using: &random)
                        let length = Int.random(in: 1...strip - start, using: &random)
                        let bytes = [UInt8](
                            repeating: UInt8.random(in: 1...255, using: &random), count: length)
                        own.replaceSubrange(start..<start + length, with: bytes)
                        synced.withLock { $0[thread]?.isCertain = false }
                        try file.write(bytes, at: thread * strip + start)
                        if Bool.random(using: &random) {
                            try file.sync()
                            synced.withLock { $0[thread] = (own, true) }
                            let found = try file.read(strip, at: thread * strip)
                            #expect(Self.padded(found, to: strip) == own, "thread \(thread)")
                        }
                    }
                    try file.close()
                    synced.withLock { $0[thread] = (own, true) }
                },
                check: { volume in
                    for mount in volume.mounts {
                        let file = try Descriptor(mount.path + "/file", O_RDONLY)
                        for (thread, last) in synced.withLock({ $0 }) where last.isCertain {
                            let found = try file.read(strip, at: thread * strip)
                            #expect(
                                Self.padded(found, to: strip) == last.bytes,
                                "thread \(thread) at \(mount.path)")
                        }
                    }
                })
        }
    }
}
