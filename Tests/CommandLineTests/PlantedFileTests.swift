import Foundation
import Glibc
import TestSupport
import Testing

@testable import apusfs

/// What others may have put in the place of a file of ours, in a directory that they may write to.
@Suite struct PlantedFileTests {
    private let directory: TemporaryDirectory
    private let path: String
    /// Somebody else's, or something else: has to stay as it is.
    private let target: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/file"
        target = directory.path + "/target"
        try "untouched".write(toFile: target, atomically: false, encoding: .utf8)
        chmod(target, 0o600)
    }

    enum Trap: CaseIterable, Sendable { case symlink, danglingSymlink, hardLink, fifo, theirs }

    private func plant(_ trap: Trap) throws {
        switch trap {
        case .symlink: #expect(symlink(target, path) == 0)
        case .danglingSymlink: #expect(symlink(directory.path + "/absent", path) == 0)
        case .hardLink: #expect(link(target, path) == 0)
        case .fifo: #expect(mkfifo(path, 0o666) == 0)
        case .theirs:
            try "".write(toFile: path, atomically: false, encoding: .utf8)
            try #require(chown(path, 60_001, 60_001) == 0, "needs root")
        }
    }

    private func expectUntouched() throws {
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "untouched")
        #expect(access(directory.path + "/absent", F_OK) != 0)
    }

    @Test(arguments: Trap.allCases)
    func `a log file is not opened through it`(trap: Trap) throws {
        try plant(trap)
        let failure = #expect(throws: CommandFailure.self) {
            // A reader for a fifo: without one it would be refused for that reason.
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            _ = try LogDestination(.file(path), secrets: [])
        }
        #expect(failure?.message.contains("log file") == true)
        try expectUntouched()
    }

    @Test(arguments: Trap.allCases)
    func `a configuration is not read from it`(trap: Trap) throws {
        try plant(trap)
        #expect(throws: CommandFailure.self) { try ConfigurationFile.read(path) }
        try expectUntouched()
    }

    @Test(arguments: Trap.allCases)
    func `a pid file or record takes its place and leaves what it points to`(trap: Trap) throws {
        try plant(trap)
        // The name of the temporary file can be guessed.
        #expect(symlink(target, "\(path).\(getpid())") == 0)
        try Directories.replace(path, with: "1\n")
        var information = stat()
        #expect(lstat(path, &information) == 0)
        #expect(information.st_mode == S_IFREG | 0o600 && information.st_uid == geteuid())
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "1\n")
        try expectUntouched()
    }

    @Test func `a device of root takes a log, and a new log is private`() throws {
        _ = try LogDestination(.file("/dev/null"), secrets: [])
        _ = try LogDestination(.file(path), secrets: [])
        var information = stat()
        #expect(lstat(path, &information) == 0 && information.st_mode == S_IFREG | 0o600)
    }

    @Test func `root takes no password from a file that a user names and does not own`() throws {
        #expect(throws: CommandFailure.self) { try PasswordSource.read(target, owner: 60_001) }
        #expect(try PasswordSource.read(target).reveal() == "untouched")
        try #require(chown(target, 60_001, 60_001) == 0, "needs root")
        #expect(try PasswordSource.read(target, owner: 60_001).reveal() == "untouched")
        #expect(throws: CommandFailure.self) { try PasswordSource.read(target) }
    }

    @Test func `a directory is private only if it is one, and nobody else's`() throws {
        let place = directory.path + "/run"
        #expect(!RuntimeDirectory.isPrivate(place, of: geteuid()))
        mkdir(place, 0o700)
        #expect(RuntimeDirectory.isPrivate(place, of: geteuid()))
        #expect(!RuntimeDirectory.isPrivate(place, of: 60_001))
        #expect(symlink(place, path) == 0)
        #expect(!RuntimeDirectory.isPrivate(path, of: geteuid()))
        chmod(place, 0o770)
        #expect(!RuntimeDirectory.isPrivate(place, of: geteuid()))
    }

    @Test func `a process that a user only names is not taken for the one behind a mount`() throws {
        // Beside this one, which belongs to whoever runs the tests.
        let user: uid_t = 60_003
        let place = RuntimeDirectory.location(userID: user)
        mkdir(place, 0o700)
        defer { _ = try? FileManager.default.removeItem(atPath: place) }
        try #require(chown(place, user, user) == 0, "needs root")
        let record = MountRecord(
            process: getpid(), mountPoint: directory.path, source: "memory:", volume: "v",
            passwordFile: nil, logFile: nil, isReadOnly: false, since: 1, failure: nil)
        let file = MountRecord.path(of: directory.path, userID: user)
        try JSON.text(record).write(toFile: file, atomically: false, encoding: .utf8)
        let lock = try FileLock(path: file + ".lock")
        #expect(lock.attempt(.exclusive))
        let found = try #require(
            try MountRecord.find(mountPoint: directory.path, userID: user))
        #expect(found == record && found.serving(userID: user) == nil)
        #expect(try #require(ProcessHandle(id: getpid())).userID == geteuid())
        chmod(place, 0o777)
        #expect(try MountRecord.find(mountPoint: directory.path, userID: user) == nil)
    }
}
