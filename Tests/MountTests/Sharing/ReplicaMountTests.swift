import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// A mount that was pointed at a replica.
    @Suite struct ReplicaMountTests {
        private func withReplica(
            _ body: (_ writer: Mount, _ reader: Mount, _ replica: RedisServer) throws -> Void
        ) throws {
            let primary = try RedisServer(
                arguments: ["--repl-diskless-sync-delay", "0"], tcp: true)
            let port = try #require(primary.port)
            try Program.run(["format", primary.source, "--volume", Mount.volume]).checked()
            let writer = try Mount(
                of: primary, through: primary.source, flags: [], limitSeconds: 240)
            defer { writer.cleanUp() }
            try SystemCall.mkdir(writer.path + "/directory")
            try SystemCall.writeFile(writer.path + "/directory/file", "first")
            let replica = try RedisServer(arguments: ["--replicaof", "127.0.0.1", "\(port)"])
            #expect(try Polling.wait { try replica.cli("EXISTS", "{test}") == "1" })
            let reader = try Mount(
                of: replica, through: replica.source, flags: [], limitSeconds: 240)
            defer { reader.cleanUp() }
            try body(writer, reader, replica)
            for mount in [reader, writer] where mount.isMounted { try mount.unmount() }
        }

        private func expectReadOnly(_ reader: Mount) {
            let path = reader.path
            #expect(throws: Errno(rawValue: EROFS)) { try SystemCall.mkdir(path + "/new") }
            #expect(throws: Errno(rawValue: EROFS)) {
                try SystemCall.writeFile(path + "/directory/file", "x")
            }
            #expect(throws: Errno(rawValue: EROFS)) {
                try SystemCall.rename(path + "/directory", path + "/other")
            }
        }

        private func text(_ path: String) throws -> String {
            String(decoding: try SystemCall.readFile(path), as: UTF8.self)
        }

        @Test
        func `a mount of a replica is read-only by itself, and writable after a remount only`()
            throws
        {
            try withReplica { writer, reader, replica in
                #expect(reader.log().contains("replica"))
                #expect(try text(reader.path + "/directory/file") == "first")
                expectReadOnly(reader)
                try writer.unmount()
                try replica.cli("REPLICAOF", "NO", "ONE")
                expectReadOnly(reader)
                try reader.remount()
                try SystemCall.writeFile(reader.path + "/directory/file", "second")
                try reader.remount()
                #expect(try text(reader.path + "/directory/file") == "second")
            }
        }

        @Test(arguments: [false, true])
        func `a mount of a replica follows the primary in its caches`(_ kills: Bool) throws {
            try withReplica { writer, reader, _ in
                let file = "/directory/file"
                for round in 0..<20 {
                    // What the kernel is about to keep for a minute.
                    _ = try SystemCall.stat(reader.path + file)
                    _ = try text(reader.path + file)
                    #expect(!SystemCall.exists(reader.path + "/made-\(round)"))
                    try SystemCall.writeFile(writer.path + file, "round \(round)")
                    try SystemCall.chmod(writer.path + file, 0o600 + mode_t(round))
                    try SystemCall.mkdir(writer.path + "/made-\(round)")
                    if round > 0 { try SystemCall.rmdir(writer.path + "/made-\(round - 1)") }
                    #expect(
                        try Polling.wait {
                            try SystemCall.stat(reader.path + file).st_mode & 0o777
                                == 0o600 + mode_t(round)
                                && text(reader.path + file) == "round \(round)"
                                && SystemCall.exists(reader.path + "/made-\(round)")
                                && !SystemCall.exists(reader.path + "/made-\(round - 1)")
                        }, "round \(round)")
                }
                guard kills else { return }
                print("kill of the writer: seed \(Scale.seed)")
                let killer = Killer(writer, seed: Scale.seed)
                do throws(Errno) {
                    var round = 0
                    while true {
                        try SystemCall.writeFile(writer.path + "/directory/\(round)", "\(round)")
                        round += 1
                    }
                } catch {
                    #expect(killer.hasKilled, "\(error)")
                }
                killer.revive(writer)
                let names = try Listing.names(writer.path + "/directory").sorted()
                #expect(
                    try Polling.wait {
                        try Listing.names(reader.path + "/directory").sorted() == names
                    })
                for name in names where !name.hasPrefix(".") {
                    let (here, there) = (
                        "\(writer.path)/directory/\(name)",
                        "\(reader.path)/directory/\(name)"
                    )
                    #expect(try Polling.wait { try text(there) == text(here) }, "\(name)")
                }
            }
        }
    }
}
