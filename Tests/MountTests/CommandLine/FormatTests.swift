import Foundation
import TestSupport
import Testing

extension MountTests {
    @Suite struct FormatTests {
        @Test func `a new volume is two keys, and status tells what it is`() throws {
            let server = try RedisServer()
            let run = try Program.run([
                "format", server.source, "--volume", "photos", "--block-size", "252K", "--codec",
                "zlib:3", "--json",
            ]).checked()
            #expect(try server.keys() == ["{photos}", "{photos}i1"])
            for report in [
                run.output,
                try Program.run(["status", server.source, "--volume", "photos", "--json"])
                    .checked().output,
            ] {
                _ = try JSONSerialization.jsonObject(with: Data(report.utf8))
                #expect(report.contains("photos"))
                #expect(report.contains("\(252 << 10)"))
                #expect(report.contains("zlib:3"))
            }
            let text = try Program.run(["status", server.source, "--volume", "photos"]).checked()
            #expect(text.output.contains("252 KiB"))
        }

        @Test func `an existing volume is kept, unless forced`() throws {
            try withMount { mount in
                guard case .redis(let server) = mount.store else { return }
                try SystemCall.writeFile(mount.path + "/file", Bytes.pattern(300_000, seed: 1))
                let again = ["format", server.source, "--volume", Mount.volume]
                let mounted = try Program.run(again + ["--force"])
                expectRefusal(mounted, status: Status.failure, mentions: ["unmounted first"])
                try mount.unmount()

                let digest = try server.digest()
                expectRefusal(
                    try Program.run(again), status: Status.failure,
                    mentions: [Mount.volume, "--force"])
                #expect(try server.digest() == digest)
                try Program.run(again + ["--force"]).checked()
                #expect(try server.keys() == ["{test}", "{test}i1"])
                try mount.mount()
                #expect(try Listing.names(mount.path) == [".", ".."])
            }
        }

        @Test func `volumes of one server do not see each other`() throws {
            let server = try RedisServer()
            try server.cli("SET", "stranger", "kept")
            try withMount(server: server) { first in
                try SystemCall.writeFile(first.path + "/file", "first")
                try Program.run(["format", server.source, "--volume", "test2"]).checked()
                let place = try TemporaryDirectory()
                try Program.run(["mount", server.source, place.path, "--prefix", "test2"]).checked()
                defer { _ = try? Program.run(["umount", "--lazy", "--force", place.path]) }
                #expect(try Listing.names(place.path) == [".", ".."])
                try SystemCall.writeFile(place.path + "/file", "second")
                #expect(try SystemCall.readFile(first.path + "/file") == Array("first".utf8))
                try Program.run(["umount", place.path]).checked()
                try Program.run(["format", server.source, "--volume", "test2", "--force"]).checked()
            }
            #expect(try server.cli("GET", "stranger") == "kept")
        }

        @Test func `a volume that was never formatted is refused with the command that makes it`()
            throws
        {
            let server = try RedisServer()
            let place = try TemporaryDirectory()
            expectRefusal(
                try Program.run(["mount", server.source, place.path, "--volume", "photos"]),
                status: Status.mountFailure,
                mentions: ["apusfs format \(server.source) --volume photos"])
            #expect(try server.keys() == [])
        }

        /// What can be wrong with a superblock, as a command of Redis.
        static let damages = [
            ["HSET", "{test}", "format", "nonsense"], ["HSET", "{test}", "block", "5000"],
            ["HSET", "{test}", "block", "99999999999999999999"],
            ["HSET", "{test}", "codec", "gzip"],
            ["HDEL", "{test}", "block"], ["HDEL", "{test}", "format"], ["HDEL", "{test}", "uuid"],
            ["SET", "{test}", "a string"], ["DEL", "{test}i1"], ["HSET", "{test}i1", "m", "33188"],
        ]

        @Test(arguments: damages)
        func `a damaged superblock or root is refused and left as it is`(damage: [String]) throws {
            let server = try RedisServer()
            let place = try TemporaryDirectory()
            try Program.run(["format", server.source, "--volume", "test"]).checked()
            try server.cli(words: damage)
            let digest = try server.digest()
            let run = try Program.run(["mount", server.source, place.path, "--volume", "test"])
            defer { _ = try? Program.run(["umount", "--lazy", "--force", place.path]) }
            expectRefusal(run, status: Status.mountFailure, mentions: [server.source])
            #expect(try server.digest() == digest)
            #expect(!Mount.isMountPoint(place.path))
        }

        @Test func `a newer format is refused with what to do, by mount, status and format`() throws
        {
            let server = try RedisServer()
            let place = try TemporaryDirectory()
            try Program.run(["format", server.source, "--volume", "test"]).checked()
            try server.cli("HSET", "{test}", "format", "99", "future", "field")
            let digest = try server.digest()
            expectRefusal(
                try Program.run(["mount", server.source, place.path, "--volume", "test"]),
                status: Status.mountFailure, mentions: ["99", "newer"])
            for words in [["status"], ["format"]] {
                let run = try Program.run(words + [server.source, "--volume", "test"])
                expectRefusal(run, status: Status.failure, mentions: [])
            }
            #expect(try server.digest() == digest)
        }

        @Test func `the block size of a volume cannot be changed, its codec can`() throws {
            try withMount(layout: ["--block-size", "64K", "--codec", "none"]) { mount in
                let bytes = Bytes.text(500_000, seed: 1)
                try SystemCall.writeFile(mount.path + "/raw", bytes)
                try mount.unmount()
                expectRefusal(
                    try Program.run(mount.mountWords(["--block-size", "128K"])),
                    status: Status.mountFailure, mentions: ["64 KiB", "fixed"])
                try mount.mount(["--codec", "lz4"])
                try SystemCall.writeFile(mount.path + "/packed", bytes)
                #expect(try SystemCall.readFile(mount.path + "/raw") == bytes)
                try mount.remount()
                #expect(try SystemCall.readFile(mount.path + "/packed") == bytes)
                #expect(try SystemCall.readFile(mount.path + "/raw") == bytes)
            }
        }
    }
}
