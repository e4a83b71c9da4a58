import CLinux
import Foundation
import Primitives
import TestSupport

/// One volume on a redis-server of its own, with several mounts of it, each by a daemon of its own. They
/// reach the server through a proxy each, so that a test can disturb one of them.
final class SharedVolume {
    let server: RedisServer
    let mounts: [Mount]
    let proxies: [CuttingProxy]

    init(
        mounts count: Int, layout: [String] = [], flags: [String] = [], limitSeconds: Int = 240
    ) throws {
        let server = try RedisServer()
        self.server = server
        try Program.run(
            ["format", "unix://" + server.path, "--volume", Mount.volume] + layout
        ).checked()
        proxies = try (0..<count).map { _ in try CuttingProxy(to: server.path, tcp: true) }
        mounts = try proxies.map { proxy in
            try Mount(
                of: server, through: "redis://127.0.0.1:\(proxy.port ?? 0)", flags: flags,
                limitSeconds: limitSeconds)
        }
    }

    /// The same path on each mount.
    func paths(_ name: String) -> [String] { mounts.map { $0.path + "/" + name } }

    /// Delays and cuts the connections of every mount at random.
    func disturb(seed: UInt64) {
        for (number, proxy) in proxies.enumerated() {
            proxy.disturb(
                seed: seed &+ UInt64(number), maximumDelayMicroseconds: 2_000, cutOneIn: 400)
        }
    }

    func leaveAlone() { for proxy in proxies { proxy.leaveAlone() } }

    /// Unmounts everything; what is left in the store of a volume whose root is empty.
    func keysAfterUnmounting() throws -> [String] {
        leaveAlone()
        for mount in mounts where mount.isMounted { try mount.unmount() }
        return try keys()
    }

    /// The keys of an empty volume. `{test}k` remembers sessions that crashed.
    static let emptyKeys: Set<String> = ["{test}", "{test}i1", "{test}k"]

    /// Every key that the server holds.
    func keys() throws -> [String] {
        try server.cli("--scan").split(separator: "\n").map(String.init).sorted()
    }

    /// Calls of one command that the server has counted so far.
    func commandCount() throws -> Int {
        let text = try server.cli("info", "stats")
        let line = text.split(whereSeparator: \.isNewline).first {
            $0.hasPrefix("total_commands_processed:")
        }
        return line.flatMap { Int($0.split(separator: ":")[1].filter(\.isNumber)) } ?? 0
    }
}

/// Runs `body` on several mounts of one volume, then unmounts them as a user does. However it ends, nothing
/// stays mounted.
func withMounts(
    _ count: Int, layout: [String] = [], flags: [String] = [], limitSeconds: Int = 240,
    _ body: (SharedVolume) throws -> Void
) throws {
    let volume = try SharedVolume(
        mounts: count, layout: layout, flags: flags, limitSeconds: limitSeconds)
    defer { for mount in volume.mounts { mount.cleanUp() } }
    do {
        try body(volume)
    } catch {
        let logs = volume.mounts.map { $0.log().suffix(2_000) }.joined(separator: "\n---\n")
        throw Mount.Failure(description: "\(error)\nlogs of the mounts:\n\(logs)")
    }
    for mount in volume.mounts where mount.isMounted { try mount.unmount() }
}
