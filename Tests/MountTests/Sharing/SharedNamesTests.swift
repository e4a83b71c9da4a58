import CLinux
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Names that several mounts make, move and remove at once.
    @Suite struct SharedNamesTests {
        enum Making: String, Sendable, CaseIterable {
            case create, mkdir, link, symlink, rename, renameDirectory

            /// Makes `name`, and says whether it was this call that did.
            func make(_ directory: String, _ name: String, by number: Int) throws -> Bool {
                let path = directory + "/" + name
                do throws(Errno) {
                    switch self {
                    case .create:
                        _ = try Descriptor(path, O_WRONLY | O_CREAT | O_EXCL)
                    case .mkdir: try SystemCall.mkdir(path)
                    case .link: try SystemCall.link("\(directory)/source-\(number)", path)
                    case .symlink: try SystemCall.symlink("\(number)", path)
                    case .rename, .renameDirectory:
                        try SystemCall.rename(
                            "\(directory)/source-\(number)", path,
                            flags: UInt32(APUSFS_RENAME_NOREPLACE))
                    }
                    return true
                } catch {
                    guard error == .exists else { throw error }
                    return false
                }
            }
        }

        @Test func `of several mounts that make one name exactly one succeeds`() throws {
            try withMounts(2) { volume in
                for making in Making.allCases {
                    for round in 0..<12 {
                        let directory = "\(making.rawValue)-\(round)"
                        try SystemCall.mkdir(volume.paths(directory)[0])
                        let paths = volume.paths(directory)
                        for number in 0..<4 {
                            let source = "\(paths[0])/source-\(number)"
                            switch making {
                            case .create, .mkdir, .symlink: break
                            case .link, .rename: try SystemCall.writeFile(source, "\(number)")
                            case .renameDirectory: try SystemCall.mkdir(source)
                            }
                        }
                        let winners = Locked<[Int]>([])
                        try inParallel(4) { number in
                            if try making.make(paths[number % 2], "name", by: number) {
                                winners.withLock { $0.append(number) }
                            }
                        }
                        #expect(winners.withLock { $0.count } == 1, "\(making)")
                    }
                }
            }
        }

        @Test func `opposite renames of directories form no cycle and lose no tree`() throws {
            try withMounts(2) { volume in
                for round in 0..<15 {
                    let paths = volume.paths("round-\(round)")
                    try SystemCall.mkdir(paths[0])
                    for name in ["a", "b"] {
                        try SystemCall.mkdir(paths[0] + "/" + name)
                        try SystemCall.writeFile("\(paths[0])/\(name)/is-\(name)", "")
                    }
                    try inParallel(2) { number in
                        let (from, to) = number == 0 ? ("/a", "/b/a") : ("/b", "/a/b")
                        do throws(Errno) {
                            try SystemCall.rename(paths[number] + from, paths[number] + to)
                        } catch {
                            guard error == .invalid || error == .noEntry else { throw error }
                        }
                    }
                    for path in paths {
                        let found = try ProgramRun.run(["find", path, "-name", "is-*"]).checked()
                        #expect(found.output.split(separator: "\n").count == 2, "round \(round)")
                    }
                }
            }
        }

        @Test func `a file that another mount removed stays usable until its last close`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("file")
                let bytes = Bytes.pattern(300_000, seed: 3)
                try SystemCall.writeFile(paths[0], bytes)
                let holder = try Descriptor(paths[1], O_RDWR)
                try SystemCall.unlink(paths[0])
                #expect(!SystemCall.exists(paths[0]))
                #expect(try Polling.wait { try holder.status().st_nlink == 0 })
                #expect(try holder.read(300_000, at: 0) == bytes)
                try holder.write(Array("new".utf8), at: 10)
                try holder.sync()
                #expect(try holder.read(3, at: 10) == Array("new".utf8))
                // Longer than a nameless inode is kept for those who have not said that they use it.
                let isKept = try !Polling.wait(limitSeconds: 7) {
                    try volume.keys().filter { $0.hasPrefix("test/b") }.isEmpty
                }
                #expect(isKept)
                #expect(try holder.read(300_000, at: 0).count == 300_000)
                try holder.close()
                #expect(
                    try Polling.wait(limitSeconds: 30) {
                        try volume.keys().filter { $0.hasPrefix("test/b") }.isEmpty
                    })
            }
        }

        @Test func `a rename replaces its target at once, for readers of both mounts`() throws {
            try withMounts(2) { volume in
                let paths = volume.paths("target")
                try SystemCall.writeFile(paths[0], "0")
                let isOver = Locked(false)
                try inParallel(3) { number in
                    if number == 0 {
                        for round in 1...60 {
                            try SystemCall.writeFile(paths[0] + ".new", "\(round)")
                            try SystemCall.rename(paths[0] + ".new", paths[0])
                        }
                        return isOver.withLock { $0 = true }
                    }
                    var last = 0
                    while !isOver.withLock({ $0 }) {
                        let bytes: [UInt8]
                        do throws(Errno) {
                            bytes = try SystemCall.readFile(paths[number - 1])
                        } catch {
                            // docs/SEMANTICS.md, "Differences": replaced twice during one open.
                            #expect(error == Errno(rawValue: ESTALE))
                            continue
                        }
                        let text = String(decoding: bytes, as: UTF8.self)
                        let found = try #require(Int(text), "it reads '\(text)'")
                        #expect(found >= last)
                        last = found
                    }
                }
            }
        }

        @Test func `a directory is replaced by a rename or gets an entry, never both`() throws {
            try withMounts(2) { volume in
                for round in 0..<20 {
                    let paths = volume.paths("round-\(round)")
                    try SystemCall.mkdir(paths[0])
                    for name in ["old", "new"] { try SystemCall.mkdir(paths[0] + "/" + name) }
                    try SystemCall.writeFile(paths[0] + "/new/is-new", "")
                    let isReplaced = Locked(false)
                    let isMade = Locked(false)
                    try inParallel(2) { number in
                        do throws(Errno) {
                            if number == 0 {
                                try SystemCall.rename(paths[0] + "/new", paths[0] + "/old")
                                isReplaced.withLock { $0 = true }
                            } else {
                                try SystemCall.mkdir(paths[1] + "/old/entry")
                                isMade.withLock { $0 = true }
                            }
                        } catch {
                            guard [.directoryNotEmpty, .noEntry, .stale].contains(error) else {
                                throw error
                            }
                        }
                    }
                    let expected: [String]
                    switch (isReplaced.withLock { $0 }, isMade.withLock { $0 }) {
                    case (true, false): expected = ["is-new"]
                    case (false, true): expected = ["entry"]
                    // The entry was made in what had taken the place.
                    case (true, true): expected = ["entry", "is-new"]
                    case (false, false): expected = ["nobody won"]
                    }
                    for path in paths {
                        // The other mount hears of the rename a moment later.
                        var found: [String] = []
                        let isSeen = try Polling.wait {
                            found = try Listing.names(path + "/old").filter { !$0.hasPrefix(".") }
                            return found.sorted() == expected
                        }
                        #expect(isSeen, "round \(round): \(found)")
                    }
                }
            }
        }

        private func isRegular(_ path: String) throws -> Bool {
            try SystemCall.stat(path).st_mode & S_IFMT == S_IFREG
        }

        @Test func `exchanges from two mounts lose neither name`() throws {
            try withMounts(2) { volume in
                let directories = volume.mounts.map(\.path)
                try SystemCall.writeFile(directories[0] + "/a", "first")
                try SystemCall.mkdir(directories[0] + "/b")
                try SystemCall.writeFile(directories[0] + "/b/in", "second")
                let exchanges = Locked(0)
                try inParallel(4) { number in
                    let path = directories[number % 2]
                    for _ in 0..<25 {
                        try SystemCall.rename(
                            path + "/a", path + "/b", flags: UInt32(APUSFS_RENAME_EXCHANGE))
                        exchanges.withLock { $0 += 1 }
                    }
                }
                #expect(exchanges.withLock { $0 } == 100)
                // Which is where is not said: a kernel that has heard of half of an exchange takes both
                // names for one inode, and does nothing (docs/SEMANTICS.md, Differences).
                #expect(
                    try Polling.wait {
                        let seen = try directories.map { try isRegular($0 + "/a") }
                        let others = try directories.map { try isRegular($0 + "/b") }
                        return seen[0] == seen[1] && others == seen.map { !$0 }
                    })
                let first = try isRegular(directories[0] + "/a")
                for path in directories {
                    let (file, directory) = first ? ("/a", "/b") : ("/b", "/a")
                    #expect(try SystemCall.readFile(path + file) == Array("first".utf8))
                    let second = try SystemCall.readFile(path + directory + "/in")
                    #expect(second == Array("second".utf8))
                    #expect(try SystemCall.stat(path).st_nlink == 3)
                }
            }
        }

        @Test func `an operation whose answer was lost has happened once, and says so`() throws {
            try withMounts(2) { volume in
                let (mount, proxy) = (volume.mounts[0], volume.proxies[0])
                for round in 0..<8 {
                    let path = "\(mount.path)/\(round)"
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try SystemCall.mkdir(path)
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try SystemCall.rename(path, path + "-moved")
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    let file = try Descriptor(path + "-file", O_WRONLY | O_CREAT | O_EXCL)
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try file.writeAll(Bytes.pattern(5_000, seed: 1))
                    try file.close()
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try SystemCall.link(path + "-file", path + "-link")
                    #expect(try SystemCall.stat(path + "-file").st_nlink == 2)
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try SystemCall.unlink(path + "-file")
                    proxy.cutAnswer(toRequestWith: "EVALSHA")
                    try SystemCall.rmdir(path + "-moved")
                }
                #expect(proxy.cutCount > 20)
                #expect(try Listing.names(volume.mounts[1].path).count == 10)
            }
        }
    }
}
