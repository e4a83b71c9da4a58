import Foundation
import TestSupport
import Testing

extension MountTests {
    /// A password comes from the URL, the environment or a file, and is shown nowhere.
    @Suite struct PasswordTests {
        private static let password = "open-sesame-42"

        enum Way: Sendable, CaseIterable {
            case url, environment, file, user
        }

        @Test(arguments: Way.allCases)
        func `it lets in and shows in no list of processes, mounts, log or report`(way: Way) throws
        {
            let server = try RedisServer(arguments: ["--requirepass", Self.password])
            let files = try TemporaryDirectory()
            let place = files.path + "/mnt"
            try SystemCall.mkdir(place)
            let (source, words, environment) = try access(way, server, files.path)
            let log = files.path + "/log"
            let pid = files.path + "/pid"
            let format = try Program.run(["format", source] + words, environment: environment)
            let mount = try Program.run(
                ["mount", source, place, "--log-file", log, "--pid-file", pid, "--debug"] + words,
                environment: environment)
            defer { _ = try? Program.run(["umount", "--lazy", "--force", place]) }
            try format.checked()
            try mount.checked()
            try SystemCall.writeFile(place + "/file", "text")
            let status = try Program.run(
                ["status", place, "--json"],
                environment: ["APUSFS_REDIS_PASSWORD": Self.password]
            ).checked()
            let list = try Program.run(["status"]).checked()
            let daemon = try text(pid).trimmingCharacters(in: .whitespacesAndNewlines)
            let shown = [
                ("format", format.output + format.errors), ("mount", mount.output + mount.errors),
                ("status", status.output + status.errors), ("list", list.output + list.errors),
                ("arguments", try text("/proc/\(daemon)/cmdline")),
                ("environment", try text("/proc/\(daemon)/environ")),
                ("mounts", try text("/proc/mounts")), ("log", try text(log)),
            ]
            for (name, text) in shown { #expect(!text.contains(Self.password), "\(name): \(text)") }
            try Program.run(["umount", place]).checked()
            #expect(!(try text(log).contains(Self.password)))
        }

        @Test func `a wrong one, and none, are refused without showing it`() throws {
            let server = try RedisServer(arguments: ["--requirepass", Self.password])
            let place = try TemporaryDirectory()
            let socket = server.path
            for source in ["unix://:wrong-guess@\(socket)", "unix://\(socket)"] {
                for words in [["mount", source, place.path], ["format", source]] {
                    let run = try Program.run(words)
                    let status = words[0] == "mount" ? Status.mountFailure : Status.failure
                    expectRefusal(run, status: status, mentions: ["password"])
                    #expect(!run.errors.contains("wrong-guess"))
                }
            }
        }

        @Test func `a file that others may read, an empty one and none are refused`() throws {
            let server = try RedisServer(arguments: ["--requirepass", Self.password])
            let files = try TemporaryDirectory()
            try SystemCall.writeFile(files.path + "/open", Self.password)
            try SystemCall.chmod(files.path + "/open", 0o644)
            try SystemCall.writeFile(files.path + "/empty", [], mode: 0o600)
            for (name, mention) in [("open", "chmod 600"), ("empty", "empty"), ("none", "cannot")] {
                expectRefusal(
                    try Program.run([
                        "format", server.source, "--password-file", "\(files.path)/\(name)",
                    ]), status: Status.failure, mentions: [mention])
            }
        }

        private func access(
            _ way: Way, _ server: RedisServer, _ directory: String
        ) throws -> (source: String, words: [String], environment: [String: String]) {
            switch way {
            case .url: return ("unix://:\(Self.password)@\(server.path)", [], [:])
            case .environment: return (server.source, [], ["APUSFS_REDIS_PASSWORD": Self.password])
            case .file:
                let file = directory + "/password"
                try SystemCall.writeFile(file, Array("\(Self.password)\n".utf8), mode: 0o600)
                return (server.source, ["--password-file", file], [:])
            case .user:
                try server.cli(
                    "-a", Self.password, "--no-auth-warning", "ACL", "SETUSER", "alice", "on",
                    ">\(Self.password)", "~*", "&*", "+@all")
                return ("unix://alice:\(Self.password)@\(server.path)", [], [:])
            }
        }

        private func text(_ path: String) throws -> String {
            String(decoding: try SystemCall.readFile(path), as: UTF8.self)
        }
    }
}
