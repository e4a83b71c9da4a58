import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    @Suite struct ChmodTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test(arguments: [0o000, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o640] as [mode_t])
        func `every mode is kept, by path and by descriptor`(mode: mode_t) throws {
            let file = try Descriptor(place["file"], O_RDWR | O_CREAT)
            try SystemCall.mkdir(place["directory"])
            for name in ["file", "directory"] {
                try SystemCall.chmod(place[name], mode)
                #expect(try SystemCall.stat(place[name]).permissions == mode)
            }
            try file.chmod(0o600)
            #expect(try file.status().permissions == 0o600)
            try file.chmod(mode)
            #expect(try file.status().permissions == mode)
        }

        @Test func `ctime advances and mtime does not`() throws {
            try SystemCall.writeFile(place["file"])
            let before = try SystemCall.stat(place["file"])
            try SystemCall.chmod(place["file"], 0o600)
            let after = try SystemCall.stat(place["file"])
            #expect(after.changeTime > before.changeTime)
            #expect(after.modificationTime == before.modificationTime)
        }

        @Test func `only the owner and root change it`() throws {
            try SystemCall.chmod(place.path, 0o777)
            try Person.alice.run { try SystemCall.writeFile(place["hers"], [], mode: 0o666) }
            try Person.bob.run { () throws in
                #expect(throws: Errno.notPermitted) { try SystemCall.chmod(place["hers"], 0o777) }
            }
            try Person.alice.run { try SystemCall.chmod(place["hers"], 0o600) }
            try SystemCall.chmod(place["hers"], 0o644)
        }

        @Test func `an owner outside of the group cannot set setgid on a file`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.chown(place["file"], user: Person.alice.user, group: 60_009)
            try Person.alice.run { try SystemCall.chmod(place["file"], 0o2755) }
            #expect(try SystemCall.stat(place["file"]).permissions == 0o755)
            let member = Person(Person.alice.user, group: Person.alice.group, groups: [60_009])
            try member.run { try SystemCall.chmod(place["file"], 0o2755) }
            #expect(try SystemCall.stat(place["file"]).permissions == 0o2755)
        }

        @Test func `writing by somebody else clears setuid and setgid, by root it does not`() throws
        {
            try SystemCall.chmod(place.path, 0o777)
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.chmod(place["file"], 0o6777)
            try Descriptor(place["file"], O_WRONLY).write([1])
            #expect(try SystemCall.stat(place["file"]).permissions == 0o6777)
            try Person.alice.run { try Descriptor(place["file"], O_WRONLY).write([1]) }
            #expect(try SystemCall.stat(place["file"]).permissions == 0o777)
        }

        @Test func `truncating by somebody else clears them, too`() throws {
            let calls: [(String) throws -> Void] = [
                { try SystemCall.truncate($0, 1) },
                { try Descriptor($0, O_RDWR).truncate(1) },
                { _ = try Descriptor($0, O_WRONLY | O_TRUNC) },
            ]
            for (index, truncate) in calls.enumerated() {
                let path = place["file\(index)"]
                try SystemCall.writeFile(path, "text")
                try SystemCall.chmod(path, 0o6777)
                try Person.alice.run { try truncate(path) }
                #expect(try SystemCall.stat(path).permissions == 0o777)
            }
        }

        @Test func `what another's change clears is cleared for who asks for the mode alone, too`()
            throws
        {
            let writing: (Int32) -> (String) throws -> Void = { flags in
                { try Descriptor($0, O_WRONLY | flags).write([UInt8](repeating: 7, count: 4_096)) }
            }
            let changes: [(String, (String) throws -> Void)] = [
                ("write", writing(0)), ("append", writing(O_APPEND)),
                ("truncating open", { _ = try Descriptor($0, O_WRONLY | O_TRUNC) }),
                ("truncate", { try SystemCall.truncate($0, 1) }),
                ("fallocate", { try Descriptor($0, O_WRONLY).allocate([], at: 0, count: 9_000) }),
                (
                    "punch",
                    { path in
                        let hole: AllocationMode = [.punchHole, .keepSize]
                        try Descriptor(path, O_WRONLY).allocate(hole, at: 0, count: 2)
                    }
                ),
                (
                    "copy",
                    { path in
                        let source = try Descriptor(path, O_RDONLY)
                        let target = try Descriptor(path, O_WRONLY)
                        _ = try target.copy(from: source, at: 0, to: 100, count: 4)
                    }
                ),
                ("chown", { try SystemCall.chown($0, group: 60_001) }),
            ]
            for (name, change) in changes {
                let path = place[name]
                try SystemCall.writeFile(path, "text")
                try SystemCall.chown(path, user: 60_001, group: 60_001)
                for (before, after) in [(0o6755, "755"), (0o6644, "2644")] as [(mode_t, String)] {
                    try SystemCall.chmod(path, before)
                    try Person.alice.run { try change(path) }
                    // Unlike stat(2), the program asks for nothing beside the mode: the kernel answers it
                    // from what it believes, as it does execve(2).
                    let run = try ProgramRun.run(["stat", "-c", "%a", path]).checked()
                    #expect(run.output == after + "\n", "\(name) of \(before)")
                }
            }
        }

        @Test func `setgid without execution for the group survives a change by a member only`()
            throws
        {
            let group: gid_t = 60_009
            let member = Person(Person.alice.user, group: Person.alice.group, groups: [group])
            let changes: [(String, (String) throws -> Void)] = [
                ("write", { try Descriptor($0, O_WRONLY).write([1]) }),
                ("append", { try Descriptor($0, O_WRONLY | O_APPEND).write([1]) }),
                ("truncating open", { _ = try Descriptor($0, O_WRONLY | O_TRUNC) }),
                ("truncate", { try SystemCall.truncate($0, 1) }),
                ("fallocate", { try Descriptor($0, O_WRONLY).allocate([], at: 0, count: 9_000) }),
                ("zero", { try Descriptor($0, O_WRONLY).allocate(.zeroRange, at: 0, count: 2) }),
                (
                    "copy",
                    { path in
                        let source = try Descriptor(path, O_RDONLY)
                        let target = try Descriptor(path, O_WRONLY)
                        _ = try target.copy(from: source, at: 0, to: 100, count: 4)
                    }
                ),
            ]
            for (name, change) in changes {
                let path = place[name]
                try SystemCall.writeFile(path, "text")
                try SystemCall.chown(path, user: Person.alice.user, group: group)
                for (person, after) in [(member, 0o2666), (.alice, 0o666)] as [(Person, mode_t)] {
                    try SystemCall.chmod(path, 0o6666)
                    try person.run { try change(path) }
                    #expect(
                        try SystemCall.stat(path).permissions == after, "\(name), \(person)")
                }
            }
        }

        @Test func `chown by an owner outside of the group clears setgid, by a member it does not`()
            throws
        {
            let group: gid_t = 60_009
            let member = Person(Person.alice.user, group: Person.alice.group, groups: [group])
            for (person, after) in [(member, 0o2644), (.alice, 0o644)] as [(Person, mode_t)] {
                try SystemCall.writeFile(place["file"], "text")
                try SystemCall.chown(place["file"], user: Person.alice.user, group: group)
                try SystemCall.chmod(place["file"], 0o6644)
                try person.run {
                    try SystemCall.chown(place["file"], group: Person.alice.group)
                }
                #expect(try SystemCall.stat(place["file"]).permissions == after, "\(person)")
            }
        }

        @Test func `a path that leads nowhere is refused`() throws {
            try SystemCall.writeFile(place["file"])
            try SystemCall.symlink("loop", place["loop"])
            #expect(throws: Errno.noEntry) { try SystemCall.chmod(place["missing"], 0o600) }
            #expect(throws: Errno.notDirectory) { try SystemCall.chmod(place["file/x"], 0o600) }
            #expect(throws: Errno(rawValue: ELOOP)) { try SystemCall.chmod(place["loop"], 0o600) }
            #expect(fchmod(-1, 0o600) == -1)
            #expect(errno == EBADF)
        }
    }
}
