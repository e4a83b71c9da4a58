import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Values of each kind of key are damaged behind the back of a volume: a mount of it answers errors and
    /// neither ends nor hangs, `apusfs check --repair` mends it, and then everything can be read.
    @Suite struct PlantedDamageTests {
        /// What stands behind the volume's tag in the names of its keys.
        enum KeyKind: String, CaseIterable {
            case superblock = "{faults}"
            case inodes = "{faults}i*"
            case directories = "{faults}d*"
            case attributes = "{faults}x*"
            case garbage = "{faults}g"
            case sessions = "{faults}s*"
            case locks = "{faults}l*"
            case lockHolders = "{faults}h*"
            case blocks = "faults/b*"
        }

        private static let firstSeed =
            ProcessInfo.processInfo.environment["APUSFS_TEST_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0...UInt64.max)

        @Test(arguments: KeyKind.allCases)
        func `damage neither crashes nor misleads a mount, and is mended`(kind: KeyKind) throws {
            let server = try RedisServer()
            let volume = try FaultVolume(on: server, flags: ["--io-timeout", "10s"])
            defer { volume.cleanUp() }
            let neighbour = try FaultVolume(
                source: volume.source, flags: ["--io-timeout", "10s"])
            defer { neighbour.cleanUp() }
            for round in 0..<2 * Scale.faultRounds {
                let seed = Self.firstSeed &+ UInt64(round)
                let context: Comment = "\(kind), APUSFS_TEST_SEED=\(seed)"
                try volume.mount()
                try makeTree(volume.path, round: round)
                let isLive = round % 2 == 1
                // Half of the rounds damage a volume that is mounted, caches and all.
                // A mount that is alone keeps its locks to itself.
                if isLive { try neighbour.mount() }
                let lockedPath = "\(volume.path)/round-\(round)/file-0"
                let holder = try isLive ? Descriptor(lockedPath, O_RDWR) : nil
                if let holder {
                    #expect(lock(holder) == 0, context)
                } else {
                    #expect(try volume.unmount() == 0, context)
                }
                let superblock = try server.cli("HGETALL", "{faults}").split(separator: "\n")
                guard let planted = try plant(kind, on: server, seed: seed) else {
                    let isAbsent = [.sessions, .locks, .lockHolders].contains(kind) && !isLive
                    #expect(kind == .garbage || isAbsent, context)
                    try holder?.close()
                    if isLive {
                        #expect(try volume.unmount() == 0, context)
                        #expect(try neighbour.unmount() == 0, context)
                    }
                    continue
                }
                print("planted damage: \(planted), seed \(seed)")
                try use(volume, holder, kind, context)
                if isLive {
                    _ = walk(neighbour.path)
                    #expect(neighbour.isServed, "\(context): \(neighbour.log().suffix(3_000))")
                    #expect(try neighbour.unmount(mayLoseData: true) < 128, context)
                }
                if kind == .superblock {
                    try server.cli("DEL", "{faults}")
                    try server.cli(words: ["HSET", "{faults}"] + superblock.map(String.init))
                }
                let mended = try volume.check(["--data", "--repair"])
                #expect([0, 1].contains(mended.status), "\(context): \(planted): \(mended)")
                let checked = try volume.check(["--data"])
                #expect(checked.status == 0, "\(context): \(planted): \(checked)")
                try volume.mount()
                let errors = walk(volume.path)
                #expect(errors == [], "\(context): \(planted)")
                if [.locks, .lockHolders].contains(kind) {
                    let again = try Descriptor(lockedPath, O_RDWR)
                    #expect(lock(again) == 0, "\(context): \(planted)")
                }
                if ![.inodes, .directories, .blocks].contains(kind) {
                    expectWhole(volume.path, round: round, context)
                }
                #expect(try volume.unmount() == 0, context)
            }
        }

        /// Uses the damaged volume: whatever is answered, the daemon lives.
        private func use(
            _ volume: FaultVolume, _ holder: Descriptor?, _ kind: KeyKind, _ context: Comment
        ) throws {
            if holder == nil {
                do {
                    try volume.mount()
                } catch {
                    // Said in one line by a daemon that ends by itself.
                    #expect([.superblock, .sessions].contains(kind), "\(context): \(error)")
                    #expect(try volume.waitForDaemon() < 128, context)
                    return
                }
            }
            _ = walk(volume.path)
            for number in 0..<5 {
                attempt { () throws(Errno) in
                    try SystemCall.writeFile(
                        "\(volume.path)/new-\(number)", Bytes.text(9_000, seed: 1))
                }
                attempt { () throws(Errno) in
                    try SystemCall.rename("\(volume.path)/new-\(number)", volume.path + "/renamed")
                }
            }
            attempt { () throws(Errno) in try SystemCall.unlink(volume.path + "/renamed") }
            #expect(volume.isServed, "\(context): \(volume.log().suffix(3_000))")
            if let holder {
                _ = lock(holder, as: F_UNLCK)
                _ = lock(holder)
                attempt { () throws(Errno) in try holder.close() }
            }
            let status = try volume.unmount(mayLoseData: true)
            // Not 0: what was written could not be stored, and that was said.
            #expect(status < 128, "\(context): \(volume.log().suffix(3_000))")
        }

        /// Locks the whole file; 0, or -1.
        private func lock(_ file: Descriptor, as kind: Int32 = F_WRLCK) -> Int32 {
            var range = flock()
            range.l_type = Int16(kind)
            range.l_whence = Int16(SEEK_SET)
            return fcntl(file.raw, F_SETLK, &range)
        }

        private func attempt(_ body: () throws(Errno) -> Void) {
            do throws(Errno) {
                try body()
            } catch {
                // Allowed: the volume is damaged.
            }
        }

        // MARK: The tree

        private func makeTree(_ root: String, round: Int) throws {
            let top = "\(root)/round-\(round)"
            try SystemCall.mkdir(top)
            try SystemCall.mkdir(top + "/inner")
            for number in 0..<6 {
                let place = number < 3 ? top : top + "/inner"
                let file = try Descriptor("\(place)/file-\(number)", O_RDWR | O_CREAT)
                try file.writeAll(content(round, number))
                try file.close()
                try SystemCall.setXattr("\(place)/file-\(number)", "user.note", Array("note".utf8))
            }
            try SystemCall.symlink("inner/file-3", top + "/link")
            try SystemCall.link(top + "/file-1", top + "/inner/also-1")
            try SystemCall.writeFile(top + "/gone", Bytes.pattern(10_000, seed: 3))
            try SystemCall.unlink(top + "/gone")
        }

        private func content(_ round: Int, _ number: Int) -> [UInt8] {
            Bytes.text(200 + number * 60_000, seed: UInt64(round * 100 + number))
        }

        private func expectWhole(_ root: String, round: Int, _ context: Comment) {
            for number in 0..<6 {
                let place = "\(root)/round-\(round)" + (number < 3 ? "" : "/inner")
                do throws(Errno) {
                    let found = try SystemCall.readFile("\(place)/file-\(number)")
                    #expect(found == content(round, number), "\(context): file \(number)")
                } catch {
                    Issue.record(error, "\(context): file \(number)")
                }
            }
        }

        /// Reads everything below `path`; the paths that answer errors.
        private func walk(_ path: String) -> [String] {
            do throws(Errno) {
                let status = try SystemCall.lstat(path)
                if status.kind == S_IFLNK {
                    _ = try SystemCall.readlink(path)
                    return []
                }
                for name in try SystemCall.listXattrs(path) {
                    _ = try SystemCall.getXattr(path, name)
                }
                guard status.kind == S_IFDIR else {
                    if status.kind == S_IFREG { _ = try SystemCall.readFile(path) }
                    return []
                }
                return try Listing.names(path).filter { $0 != "." && $0 != ".." }
                    .flatMap { walk(path + "/" + $0) }
            } catch {
                return ["\(path): \(error)"]
            }
        }

        // MARK: The damage

        /// Damages a key of this kind as `seed` chooses; what was done, or `nil` when there is none.
        private func plant(_ kind: KeyKind, on server: RedisServer, seed: UInt64) throws -> String?
        {
            let keys = try server.cli("--scan", "--pattern", kind.rawValue)
                .split(separator: "\n").map(String.init).sorted()
            var random = SeededRandom(seed: seed)
            guard !keys.isEmpty else { return nil }
            let key = keys[Int(random.next() % UInt64(keys.count))]
            let how = try server.cli(
                "EVAL", Self.script, "1", key, "\(random.next() % 1_000_000)")
            return "\(key): \(how)"
        }

        private static let script = """
            local key = KEYS[1]
            math.randomseed(ARGV[1] + 0)
            local kind, how = redis.call('TYPE', key).ok, math.random(1, 6)
            local function junk(n)
              local bytes = {}
              for i = 1, n do bytes[i] = string.char(math.random(0, 255)) end
              return table.concat(bytes)
            end
            if how == 1 then
              redis.call('DEL', key)
              redis.call('LPUSH', key, 'x')
              return kind .. ' became a list'
            end
            if kind == 'string' then
              local value = redis.call('GET', key)
              if how == 2 then redis.call('SET', key, junk(math.random(0, 60))) end
              if how == 3 then redis.call('SETRANGE', key, math.random(0, 15), junk(2)) end
              if how == 4 then redis.call('SET', key, string.sub(value, 1, math.random(0, 40))) end
              if how == 5 then redis.call('SET', key, value .. junk(200000)) end
              if how == 6 then redis.call('DEL', key) end
            elseif kind == 'hash' then
              local field = redis.call('HRANDFIELD', key)
              if how == 2 then redis.call('HSET', key, field, junk(20)) end
              if how == 3 then redis.call('HSET', key, field, '99999999999999999999999') end
              if how == 4 then redis.call('HDEL', key, field) end
              if how == 5 then redis.call('HSET', key, field, '-1') end
              if how == 6 then redis.call('HSET', key, junk(3), junk(3)) end
              return 'hash ' .. how .. ' ' .. field
            elseif kind == 'zset' then
              if how == 2 then redis.call('ZADD', key, 1, junk(12)) end
              if how == 3 then redis.call('ZADD', key, '1e300', '1') end
              if how == 4 then redis.call('ZADD', key, '-inf', '2') end
              if how == 5 then redis.call('ZADD', key, '0.5', '3') end
              if how == 6 then redis.call('DEL', key) end
            else
              redis.call('DEL', key)
            end
            return kind .. ' ' .. how
            """
    }
}
