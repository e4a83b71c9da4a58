import TestSupport
import Testing

extension MountTests {
    /// A volume at a `rediss://` server.
    @Suite struct TLSTests {
        private static let password = "open-sesame-43"

        @Test func `a volume by TLS is formatted, mounted, looked at and checked`() throws {
            let authority = try TLSAuthority()
            let client = try authority.sign("client")
            let (server, port) = try RedisServer.byTLS(
                authority, clients: "yes",
                arguments: ["--requirepass", Self.password, "--appendonly", "yes"])
            let files = try TemporaryDirectory()
            let place = files.path + "/mnt"
            try SystemCall.mkdir(place)
            let source = "rediss://localhost:\(port)/1"
            let environment = ["APUSFS_REDIS_PASSWORD": Self.password]
            let tls = [
                "--tls-ca", authority.file, "--tls-cert", client.certificateFile,
                "--tls-key", client.keyFile,
            ]
            func run(_ words: [String]) throws -> ProgramRun {
                try Program.run(words, environment: environment).checked()
            }
            _ = try run(["format", source] + tls)
            let log = files.path + "/log"
            _ = try run(["mount", source, place, "--log-file", log, "--debug"] + tls)
            defer { _ = try? Program.run(["umount", "--lazy", "--force", place]) }
            let bytes = Bytes.pattern(3_000_000, seed: 7)
            try SystemCall.writeFile(place + "/file", bytes)
            #expect(try SystemCall.readFile(place + "/file") == bytes)
            // By its mount point a volume is found with the files that it was mounted with.
            let status = try run(["status", place])
            #expect(status.output.contains("localhost:\(port)/1"))
            #expect(try run(["check", source] + tls).output.contains("intact"))
            // The server goes and comes back: the mount waits.
            server.kill()
            try server.start()
            try SystemCall.writeFile(place + "/second", bytes)
            #expect(try SystemCall.readFile(place + "/second") == bytes)
            try Program.run(["umount", place]).checked()
            let text = String(decoding: try SystemCall.readFile(log), as: UTF8.self)
            #expect(!text.contains(Self.password))
        }

        @Test func `who cannot be trusted is refused in one line, or mounted with a loud warning`()
            throws
        {
            let authority = try TLSAuthority()
            let stranger = try TLSAuthority()
            let (server, port) = try RedisServer.byTLS(authority)
            let place = try TemporaryDirectory()
            let source = "rediss://localhost:\(port)"
            for (words, mention) in [
                ([], "--tls-ca"), (["--tls-ca", stranger.file], "--tls-ca"),
                (["--tls-ca", authority.file, "--tls-server-name", "x.example"], "x.example"),
            ] {
                expectRefusal(
                    try Program.run(["mount", source, place.path] + words),
                    status: Status.mountFailure, mentions: [mention])
                expectRefusal(
                    try Program.run(["format", source] + words), status: Status.failure,
                    mentions: [mention])
            }
            expectRefusal(
                try Program.run(["format", "redis://localhost:1", "--tls-insecure"]),
                status: Status.usage, mentions: ["rediss://"])
            expectRefusal(
                try Program.run(["format", source, "--tls-cert", "/x"]), status: Status.usage,
                mentions: ["--tls-key"])
            let run = try Program.run(["format", source, "--tls-insecure"]).checked()
            #expect(run.errors.contains("ANYBODY BETWEEN HERE AND THE SERVER"))
            withExtendedLifetime(server) {}
        }
    }
}
