import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Programs on a mount whose server is away, full, or not what it was.
    @Suite struct WaitingProgramTests {
        private func makeServer() throws -> RedisServer {
            try RedisServer(arguments: ["--appendonly", "yes", "--appendfsync", "always"])
        }

        @Test(arguments: ["gone", "silent"])
        func `a program that waits for the server can be killed`(server kind: String) throws {
            let server = try makeServer()
            let volume = try FaultVolume(on: server, flags: ["--io-timeout", "10m"])
            defer { volume.cleanUp() }
            try volume.mount()
            let script = "echo ready; read -r go; exec stat \(volume.path)/nothing"
            let program = try Talker(["sh", "-c", script])
            #expect(try program.line() == "ready")
            let next = try server.prepareStart()
            if kind == "gone" { server.kill() } else { server.pause() }
            program.say("go")
            let pid = program.processID
            #expect(
                Polling.wait {
                    let waits = FileManager.default.contents(atPath: "/proc/\(pid)/wchan") ?? Data()
                    return String(decoding: waits, as: UTF8.self).contains("request_wait_answer")
                })
            let start = Deadline.now
            program.kill()
            let took = Deadline.now.monotonicNanoseconds - start.monotonicNanoseconds
            #expect(took < 5_000_000_000, "\(took) ns")
            if kind == "gone" { try next.begin() } else { server.continue() }
            try SystemCall.writeFile(volume.path + "/file", "text")
            #expect(try volume.unmount() == 0)
        }

        @Test
        func
            `a server that lost its latest changes is noticed, and what is held is stored again`()
            throws
        {
            let server = try makeServer()
            let volume = try FaultVolume(on: server, flags: ["--flush-interval", "200ms"])
            defer { volume.cleanUp() }
            try volume.mount()
            let old = Bytes.pattern(400_000, seed: 1)
            let new = Bytes.pattern(500_000, seed: 2)
            try SystemCall.writeFile(volume.path + "/file", old)
            let file = AppendOnlyFile(server.directory.path)
            let length = try file.length()
            let descriptor = try Descriptor(volume.path + "/file", O_RDWR)
            try descriptor.write(new, at: 0)
            try descriptor.sync()
            try SystemCall.writeFile(volume.path + "/lost", "text")
            let next = try server.prepareStart()
            server.kill()
            try file.cut(to: length)
            try next.begin()
            #expect(Polling.wait { volume.log().contains("THE STORE HAS LOST CHANGES") })
            #expect(Polling.wait { !SystemCall.exists(volume.path + "/lost") })
            #expect(try SystemCall.readFile(volume.path + "/file") == new)
            // Numbers are not given out twice: what is made now is whole, and so is what was there.
            try SystemCall.writeFile(volume.path + "/after", old)
            try descriptor.sync()
            try descriptor.close()
            #expect(try volume.unmount() == 0)
            let status = try Program.run(
                ["status", volume.source, "--volume", FaultVolume.name]
            ).checked()
            #expect(status.output.contains("THE STORE LOST CHANGES"), "\(status)")
            #expect(status.output.contains("keeps everything"), "\(status)")
            let checked = try volume.check(["--data"])
            #expect(checked.status == 0, "\(checked)")
            try volume.mount()
            #expect(try SystemCall.readFile(volume.path + "/file") == new)
            #expect(try SystemCall.readFile(volume.path + "/after") == old)
            #expect(try volume.unmount() == 0)
        }

        @Test
        func
            `a program that writes more than the cache holds learns that the server is full`()
            throws
        {
            let server = try makeServer()
            // An hour, so that waiting for room would not end.
            let volume = try FaultVolume(
                on: server, flags: ["--cache-size", "16M", "--io-timeout", "1h"])
            defer { volume.cleanUp() }
            try volume.mount()
            try server.cli(
                "CONFIG", "SET", "maxmemory", "\(try server.information("used_memory") + 100_000)")
            let bytes = Bytes.pattern(32 << 20, seed: 1)
            let file = try Descriptor(volume.path + "/file", O_RDWR | O_CREAT)
            #expect(throws: Errno.noSpace) { try file.writeAll(bytes) }
            try server.cli("CONFIG", "SET", "maxmemory", "0")
            // Writers are let through again once the flusher has tried again, 2 s later at most.
            #expect(
                Polling.wait(limitSeconds: 30) {
                    do throws(Errno) {
                        try file.write(bytes, at: 0)
                        return true
                    } catch {
                        return false
                    }
                })
            try file.sync()
            try file.close()
            let found = try SystemCall.readFile(volume.path + "/file")
            #expect(found.prefix(bytes.count) == bytes[...])
            #expect(try volume.unmount() == 0)
        }

        @Test
        func `on a full server files can be removed and cut, and then written again`() throws {
            let server = try makeServer()
            let volume = try FaultVolume(on: server, flags: ["--cache-size", "64M"])
            defer { volume.cleanUp() }
            try volume.mount()
            let bytes = Bytes.pattern(6 << 20, seed: 1)
            for name in ["kept", "removed", "cut"] {
                try SystemCall.writeFile("\(volume.path)/\(name)", bytes)
            }
            let limit = try server.information("used_memory") + 2_000_000
            try server.cli("CONFIG", "SET", "maxmemory", "\(limit)")
            let file = try Descriptor(volume.path + "/more", O_RDWR | O_CREAT)
            #expect(throws: Errno.noSpace) {
                try file.writeAll(bytes)
                try file.sync()
            }
            // The figures of statfs may be a second old.
            #expect(
                try Polling.wait {
                    let figures = try SystemCall.statvfs(volume.path)
                    let size = Int(figures.f_blocks) * Int(figures.f_frsize)
                    return abs(size - limit) <= Int(figures.f_frsize)
                })
            try SystemCall.unlink(volume.path + "/removed")
            try SystemCall.truncate(volume.path + "/cut", 1_000)
            #expect(
                Polling.wait(limitSeconds: 30) {
                    do throws(Errno) {
                        try file.sync()
                        return true
                    } catch {
                        return false
                    }
                })
            try file.write(bytes, at: 0)
            try file.sync()
            try file.close()
            #expect(try volume.unmount() == 0)
            try volume.mount()
            #expect(try SystemCall.readFile(volume.path + "/more") == bytes)
            #expect(try SystemCall.readFile(volume.path + "/kept") == bytes)
            #expect(try SystemCall.readFile(volume.path + "/cut") == Array(bytes[..<1_000]))
            #expect(try volume.unmount() == 0)
            let checked = try volume.check(["--data"])
            #expect(checked.status == 0, "\(checked)")
        }
    }
}
