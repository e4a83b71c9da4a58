import Foundation
import TestSupport
import Testing

extension MountTests {
    @Suite struct CheckCommandTests {
        @Test func `check says intact, mends, and answers with the statuses of fsck`() throws {
            let server = try RedisServer()
            try withMount(server: server) { mount in
                try SystemCall.mkdir(mount.path + "/directory")
                try SystemCall.writeFile(
                    mount.path + "/directory/file", Bytes.pattern(300_000, seed: 1))
                try SystemCall.writeFile(mount.path + "/other", "text")
                let place = [server.source, "--volume", Mount.volume]
                let intact = try Program.run(["check", mount.path, "--data"]).checked()
                #expect(intact.output.contains("intact"))
                #expect(intact.output.contains("2 directories"))
                try mount.unmount()
                try Program.run(["check"] + place + ["--data"]).checked()

                let names = try server.cli("--raw", "HKEYS", "{test}d1").split(separator: "\n")
                #expect(Set(names) == ["directory", "other"])
                try server.cli("HDEL", "{test}d1", "directory")
                let found = try Program.run(["check"] + place)
                #expect(found.status == 4)
                #expect(found.output.contains("found: orphan"))
                let mended = try Program.run(["check"] + place + ["--repair", "--json"])
                #expect(mended.status == 1)
                let json = try #require(
                    try JSONSerialization.jsonObject(with: Data(mended.output.utf8))
                        as? [String: Any])
                #expect(json["damageLeft"] as? Int == 0)
                let kinds = (json["findings"] as? [[String: Any]])?.compactMap {
                    $0["kind"] as? String
                }
                #expect(kinds?.contains("orphan") == true)
                try Program.run(["check"] + place + ["--data"]).checked()
                try mount.mount()
                let refuge = mount.path + "/lost+found"
                let found2 = try #require(
                    try Listing.names(refuge).first { $0.hasPrefix("#") })
                #expect(
                    try SystemCall.readFile("\(refuge)/\(found2)/file")
                        == Bytes.pattern(300_000, seed: 1))
            }
            #expect(try Program.run(["check", server.source, "--volume", "none"]).status == 8)
            #expect(try Program.run(["check", server.source, "--wrong"]).status == 16)
            #expect(try Program.run(["check", server.source, "--memory", "1"]).status == 16)
        }

        @Test func `gc shows and collects what a mount that died has left`() throws {
            let server = try RedisServer()
            try withMount(server: server) { mount in
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                try file.writeAll(Bytes.pattern(400_000, seed: 1))
                try file.sync()
                try SystemCall.unlink(mount.path + "/file")
                try mount.killDaemon()
                // Fails with the mount; what matters is that nobody has it open.
                _ = try? file.close()
                try mount.unmount()
                let place = [server.source, "--volume", Mount.volume]
                let shown = try Program.run(["gc"] + place + ["--dry-run"]).checked()
                #expect(shown.output.contains("1 sessions of mounts that died"))
                try Program.run(["gc"] + place).checked()
                #expect(try server.keys() == ["{test}", "{test}i1", "{test}k"])
                try Program.run(["check"] + place).checked()
            }
        }
    }
}
