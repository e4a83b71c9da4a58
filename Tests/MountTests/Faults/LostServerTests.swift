import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// The server goes away under a mount.
    @Suite struct LostServerTests {
        /// A server that has everything it acknowledged after it was killed.
        private func makeDurableServer() throws -> RedisServer {
            try RedisServer(arguments: ["--appendonly", "yes", "--appendfsync", "always"])
        }

        @Test func `--strict refuses a server that keeps nothing`() throws {
            let server = try RedisServer()
            try Program.run(["format", server.source, "--volume", Mount.volume]).checked()
            let place = try TemporaryDirectory()
            let words = ["mount", server.source, place.path, "--volume", Mount.volume, "--strict"]
            expectRefusal(
                try Program.run(words), status: 32, mentions: ["--strict", "appendonly"])
            try server.cli("CONFIG", "SET", "appendonly", "yes")
            try Program.run(words).checked()
            try Program.run(["umount", place.path]).checked()
        }

        @Test func `operations wait for a server that is started again, and go on`() throws {
            let server = try makeDurableServer()
            try withMount(server: server) { mount in
                let daemon = try #require(mount.daemon)
                let starts = try (0..<3).map { _ in try server.prepareStart() }
                let writer = Writer(directory: mount.path)
                for (round, next) in starts.enumerated() {
                    #expect(writer.waitForProgress(), "no progress before round \(round)")
                    server.kill()
                    try next.begin()
                }
                #expect(writer.waitForProgress(), "no progress after the last start")
                let count = writer.stop()
                #expect(writer.failures == [])
                #expect(Mount.isRunning(daemon))
                try mount.remount()
                for index in 0..<count {
                    let bytes = try SystemCall.readFile("\(mount.path)/file-\(index)")
                    #expect(bytes == Writer.bytes(index), "file \(index) of \(count)")
                }
            }
        }

        @Test func `what was written and not synced when the server died is not lost`() throws {
            let server = try makeDurableServer()
            try withMount(server: server, flags: ["--flush-interval", "1h"]) { mount in
                let bytes = Bytes.pattern(3_000_000, seed: 1)
                let next = try server.prepareStart()
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                try file.writeAll(bytes)
                server.kill()
                try next.begin()
                // A read may wait for the server, once the mount has noticed that it hears no changes.
                #expect(try file.read(1_000, at: 500_000) == Array(bytes[500_000..<501_000]))
                try file.sync()
                try file.close()
                try mount.remount()
                #expect(try SystemCall.readFile(mount.path + "/file") == bytes)
            }
        }

        @Test func `after the time limit operations fail with EIO, and work again with the server`()
            throws
        {
            let server = try makeDurableServer()
            try withMount(server: server, flags: ["--io-timeout", "1s", "--entry-timeout", "0"]) {
                mount in
                try SystemCall.writeFile(mount.path + "/before", "kept")
                let next = try server.prepareStart()
                let file = try Descriptor(mount.path + "/dirty", O_RDWR | O_CREAT)
                try file.writeAll(Array("dirty".utf8))
                server.kill()
                let start = Deadline.now
                #expect(throws: Errno.ioError) { try SystemCall.mkdir(mount.path + "/directory") }
                #expect(throws: Errno.ioError) { try file.sync() }
                #expect(start.advanced(byMilliseconds: 20_000) > .now)
                try next.begin()
                #expect(Polling.wait { SystemCall.exists(mount.path + "/before") })
                try SystemCall.mkdir(mount.path + "/directory2")
                try file.sync()
                try file.close()
                try mount.remount()
                #expect(try SystemCall.readFile(mount.path + "/dirty") == Array("dirty".utf8))
                #expect(try SystemCall.readFile(mount.path + "/before") == Array("kept".utf8))
            }
        }

        @Test func `a full server is ENOSPC, and room lets the same data through`() throws {
            let server = try makeDurableServer()
            try withMount(server: server) { mount in
                let bytes = Bytes.pattern(8 << 20, seed: 1)
                try SystemCall.writeFile(mount.path + "/before", "kept")
                try server.cli("CONFIG", "SET", "maxmemory", "4mb")
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                #expect(throws: Errno.noSpace) {
                    try file.writeAll(bytes)
                    try file.sync()
                }
                #expect(try SystemCall.readFile(mount.path + "/before") == Array("kept".utf8))
                try server.cli("CONFIG", "SET", "maxmemory", "0")
                try file.write(bytes, at: 0)
                try file.sync()
                try file.close()
                try mount.remount()
                #expect(try SystemCall.readFile(mount.path + "/file") == bytes)
            }
        }
    }
}

/// A thread that makes file after file, each of which it syncs, until it is told to stop.
private final class Writer: Sendable {
    private struct State {
        var isStopping = false
        var count = 0
        var failures: [String] = []
    }

    private let state = Monitor(State())
    private let thread = Locked<TestThread?>(nil)

    init(directory: String) {
        let started = TestThread(name: "writer") { [self] in
            while let index = state.withLock({ $0.isStopping ? nil : $0.count }) {
                do throws(Errno) {
                    let file = try Descriptor(
                        "\(directory)/file-\(index)", O_RDWR | O_CREAT | O_EXCL)
                    try file.writeAll(Self.bytes(index))
                    try file.sync()
                    try file.close()
                    state.change { $0.count += 1 }
                } catch {
                    state.change {
                        $0.failures.append("file \(index): \(error)")
                        $0.isStopping = true
                    }
                }
            }
        }
        thread.withLock { $0 = started }
    }

    static func bytes(_ index: Int) -> [UInt8] { Bytes.pattern(20_000, seed: UInt64(index)) }

    /// Waits until some more files are made; false if there are none.
    func waitForProgress() -> Bool {
        let before = state.withLock { $0.count }
        return state.wait(until: .after(milliseconds: 60_000)) { state -> Bool? in
            if state.isStopping { return false }
            return state.count >= before + 20 ? true : nil
        } ?? false
    }

    /// How many files were made.
    func stop() -> Int {
        state.change { $0.isStopping = true }
        thread.withLock { $0 }?.join()
        return state.withLock { $0.count }
    }

    var failures: [String] { state.withLock { $0.failures } }
}
