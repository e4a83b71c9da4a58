import Foundation
import TestSupport
import Testing

/// A user of a redis-server with the rules of docs/SECURITY.md, taken from that page.
struct AccessRules {
    /// The server knows this user by these names.
    static let user = "apusfs"
    static let password = "least-privilege"
    static let credentials = "\(user):\(password)"

    let server: RedisServer

    /// Makes the user with the rules that stand in the fences of these names, on a server without one.
    init(_ names: String..., on server: RedisServer) throws {
        self.server = server
        for name in names { try add(name) }
        try server.cli("ACL", "LOG", "RESET")
    }

    /// Carries out the commands of one more fence.
    func add(_ name: String) throws {
        let commands = try Self.commands(of: name)
        try #require(!commands.isEmpty, "docs/SECURITY.md has no rules called \(name)")
        for words in commands { #expect(try server.cli(words: words) == "OK", "\(words)") }
    }

    /// The source of the server, for this user.
    var source: String { "unix://\(Self.credentials)@\(server.path)" }

    /// How to ask the commands about a mount of this user.
    static let environment = ["APUSFS_REDIS_PASSWORD": password]

    /// What the server has refused to anybody: the commands, keys and channels, by their names.
    func refused() throws -> [String] {
        let lines = try server.cli("ACL", "LOG").split(separator: "\n").map(String.init)
        return lines.indices.dropLast().filter { lines[$0] == "object" }.map { lines[$0 + 1] }
    }

    /// What a mount and `status` ask for although they can do without.
    static let dispensable = ["config|get"]

    func expectNothingRefused(
        but dispensable: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let refused = Set(try refused()).subtracting(dispensable)
        #expect(refused == [], sourceLocation: sourceLocation)
    }

    /// Whether the server refuses this, or to do it within a script, which Redis 7.0 says in words of its own.
    func refuses(_ words: [String]) throws -> Bool {
        let answer = try answer(words)
        return answer.contains("NOPERM") || answer.contains("The user executing the script can't")
    }

    /// What the server answers this user.
    private func answer(_ words: [String]) throws -> String {
        let login = ["--user", Self.user, "-a", Self.password, "--no-auth-warning"]
        let run = try ProgramRun.run(
            ["redis-cli", "-s", server.path] + login + words, limitSeconds: 10)
        return run.isTimedOut ? "no end" : run.output + run.errors
    }

    private static func commands(of name: String) throws -> [[String]] {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../docs/SECURITY.md").standardized
        let lines = try String(contentsOf: page, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        guard let fence = lines.firstIndex(of: "```acl \(name)") else { return [] }
        return lines[(fence + 1)...].prefix { $0 != "```" }.map { line in
            line.replacing("photos", with: Mount.volume).replacing("PASSWORD", with: password)
                .split(separator: " ").map(String.init)
        }
    }
}
