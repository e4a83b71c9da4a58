import Glibc
import Logging
import Primitives
import TestSupport
import Testing

@testable import apusfs

@Suite struct SecretsTests {
    @Test(arguments: [
        ("redis://alice:hunter2@server/1", "hunter2"), ("redis://:hunter2@server", "hunter2"),
        ("redis://:hun@ter2@server", "hun@ter2"), ("unix://a:hunter2@/run/x.sock", "hunter2"),
        ("--source=redis://a:hunter2@server", "hunter2"), ("redis://a:hun/ter2@server", "hun/ter2"),
        ("rediss://a:hunter2@server", "hunter2"),
    ])
    func `the veil covers exactly the password of an argument`(argument: String, secret: String) {
        let range = ArgumentVeil.secretBytes(of: argument)
        let covered = range.map { String(decoding: Array(argument.utf8)[$0], as: UTF8.self) }
        #expect(covered == secret)
    }

    @Test(arguments: [
        "redis://server:6379/1", "redis://alice@server", "redis://alice:@server", "memory:",
        "file:/a:b@c", "a:b@c", "", "redis://", "unix:///run/a.sock",
    ])
    func `the veil leaves other arguments alone`(argument: String) {
        #expect(ArgumentVeil.secretBytes(of: argument) == nil)
    }

    @Test func `a message about arguments does not repeat their passwords`() {
        let message = Dispatch.withoutSecrets(
            "Unexpected argument 'redis://a:hunter2@h'", of: ["x", "redis://a:hunter2@h"])
        #expect(message == "Unexpected argument 'redis://a:***@h'")
    }

    @Test func `log lines show a password in no form`() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/log"
        let destination = try LogDestination(.file(path), secrets: [Secret("p@ss word")])
        let logger = Logger(label: "test") {
            TextLogHandler(label: $0, destination: destination, level: .info)
        }
        logger.info("AUTH p@ss word", metadata: ["url": "redis://:p%40ss%20word@h"])
        let text = String(
            decoding: try #require(Directories.contents(of: path, limit: 4_096)), as: UTF8.self)
        #expect(text.contains("AUTH ***") && text.contains("redis://:***@h"), "\(text)")
        #expect(!text.contains("ss word") && !text.contains("ss%20word"), "\(text)")
    }

    @Test func `a log line stays one line`() {
        #expect(TextLogHandler.oneLine("a\nb\u{7F}") == "a\\u{a}b\\u{7f}")
        #expect(TextLogHandler.oneLine("grün ok") == "grün ok")
    }

    @Test func `a log file is made for its owner only and reopened when moved`() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/log"
        let destination = try LogDestination(.file(path), secrets: [])
        destination.write(level: .info, time: .now, message: "one")
        var information = stat()
        #expect(stat(path, &information) == 0 && information.st_mode & 0o777 == 0o600)
        rename(path, "\(path).1")
        try destination.reopen()
        destination.write(level: .info, time: .now, message: "two")
        let fresh = String(
            decoding: try #require(Directories.contents(of: path, limit: 4_096)), as: UTF8.self)
        #expect(fresh.hasSuffix(" info two\n") && !fresh.contains("one"))
    }

    @Test func `a log file that is a symbolic link is refused`() throws {
        let directory = try TemporaryDirectory()
        symlink("/dev/null", "\(directory.path)/log")
        #expect(throws: CommandFailure.self) {
            try LogDestination(.file("\(directory.path)/log"), secrets: [])
        }
    }
}

@Suite struct PasswordSourceTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func file(_ text: String, mode: mode_t = 0o600) throws -> String {
        let path = "\(directory.path)/password"
        try Directories.replace(path, with: text)
        #expect(chmod(path, mode) == 0)
        return path
    }

    @Test(arguments: [("pw\n", "pw"), ("pw", "pw"), ("p w \nx", "p w "), ("pw\r\n", "pw")])
    func `the first line of the file is the password`(text: String, password: String) throws {
        #expect(try PasswordSource.read(try file(text)) == Secret(password))
    }

    @Test(arguments: [0o640, 0o604, 0o660, 0o601, 0o620] as [mode_t])
    func `a file that others have any right to is refused`(mode: mode_t) throws {
        let path = try file("pw\n", mode: mode)
        let failure = #expect(throws: CommandFailure.self) { try PasswordSource.read(path) }
        #expect(failure?.message.contains("chmod 600") == true)
    }

    @Test(arguments: ["", "\n", "\nx"])
    func `a file without a password is refused`(text: String) throws {
        let path = try file(text)
        #expect(throws: CommandFailure.self) { try PasswordSource.read(path) }
    }

    @Test func `a directory, a missing file and a huge file are refused`() throws {
        let huge = try file(String(repeating: "x", count: 5_000))
        for path in [directory.path, "\(directory.path)/none", huge] {
            #expect(throws: CommandFailure.self) { try PasswordSource.read(path) }
        }
    }

    @Test func `the file comes before the environment, and that before the source`() throws {
        let source = try SourceParser.parse("redis://:fromsource@server")
        let environment = ["APUSFS_REDIS_PASSWORD": "fromenv", "REDISCLI_AUTH": "fromcli"]
        func password(_ file: String?, _ environment: [String: String]) throws -> String? {
            try PasswordSource.complete(source, passwordFile: file, environment: environment)
                .password?.reveal()
        }
        #expect(try password(try file("fromfile"), environment) == "fromfile")
        #expect(try password(nil, environment) == "fromenv")
        #expect(try password(nil, ["REDISCLI_AUTH": "fromcli"]) == "fromcli")
        #expect(try password(nil, ["APUSFS_REDIS_PASSWORD": ""]) == "fromsource")
        #expect(try password(nil, [:]) == "fromsource")
    }

    @Test func `sentinels have a password of their own, which no program that is started sees`()
        throws
    {
        let environment = ["APUSFS_SENTINEL_PASSWORD": "guard"]
        func complete(_ text: String) throws -> Source {
            try PasswordSource.complete(
                SourceParser.parse(text), passwordFile: nil, environment: environment)
        }
        let source = try complete("redis-sentinel://:own@a,b/m")
        #expect(source.password?.reveal() == "own")
        #expect(source.sentinelPassword?.reveal() == "guard")
        #expect(try complete("redis://a").sentinelPassword == nil)
        let plan = MountPlan(source: source, mountPoint: "/mnt/x", settings: MountSettings())
        #expect(plan.secrets.map { $0.reveal() } == ["own", "guard"])
        #expect(!"\(source)\(plan)".contains("guard"))
    }

    @Test func `a private store takes no password from the environment`() throws {
        let complete = try PasswordSource.complete(
            Source(.memory), passwordFile: nil, environment: ["REDISCLI_AUTH": "x"])
        #expect(complete.password == nil)
    }

    @Test func `a user without a password is refused with the form that was meant`() throws {
        let source = try SourceParser.parse("redis://alice@server")
        let failure = #expect(throws: CommandFailure.self) {
            try PasswordSource.complete(source, passwordFile: nil, environment: [:])
        }
        #expect(failure?.message.contains("redis://:PASSWORD@host") == true)
    }
}
