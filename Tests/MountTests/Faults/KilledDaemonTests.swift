import Foundation
import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    /// The daemon goes away under its mount.
    @Suite struct KilledDaemonTests {
        @Test func `a dead mount point answers ENOTCONN, and mounting again recovers it`() throws {
            try withMount { mount in
                let synced = Bytes.pattern(700_000, seed: 1)
                let file = try Descriptor(mount.path + "/synced", O_RDWR | O_CREAT)
                try file.writeAll(synced)
                try file.sync()
                try SystemCall.writeFile(mount.path + "/closed", synced)
                try SystemCall.mkdir(mount.path + "/directory")
                let nameless = try Descriptor(mount.path + "/nameless", O_RDWR | O_CREAT)
                try nameless.writeAll(synced)
                try SystemCall.unlink(mount.path + "/nameless")
                try mount.killDaemon()
                // Making `nameless` changed the root, so the kernel has to ask for its attributes again.
                let isGone = Errno(rawValue: ENOTCONN)
                for _ in 0..<2 {
                    #expect(throws: isGone) { try SystemCall.stat(mount.path) }
                    #expect(throws: isGone) { try SystemCall.mkdir(mount.path + "/new") }
                    #expect(throws: isGone) { try Listing.names(mount.path) }
                    #expect(throws: isGone) { try file.sync() }
                    #expect(throws: isGone) { try file.write([1], at: 0) }
                    #expect(throws: isGone) { try file.status() }
                    #expect(throws: isGone) { try nameless.truncate(0) }
                }

                try mount.mount()
                // The descriptors are of the mount that died.
                #expect(throws: isGone) { try file.sync() }
                #expect(throws: isGone) { try nameless.status() }
                #expect(try SystemCall.readFile(mount.path + "/synced") == synced)
                #expect(try SystemCall.readFile(mount.path + "/closed") == synced)
                #expect(
                    try Listing.names(mount.path) == [".", "..", "closed", "directory", "synced"])
            }
        }

        @Test func `what is written and not synced when the daemon dies is an error at fsync`()
            throws
        {
            try withMount { mount in
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                try file.writeAll(Bytes.pattern(8_192, seed: 1))
                try file.sync()
                let mapping = try Mapping(file, count: 8_192)
                try file.writeAll(Bytes.pattern(300_000, seed: 2))
                mapping.bytes[0] = 7
                try mount.killDaemon()
                #expect(throws: Errno.self) { try file.sync() }
                #expect(throws: Errno.self) { try file.sync() }
                #expect(throws: Errno.self) { try mapping.sync() }
                #expect(throws: Errno(rawValue: ENOTCONN)) { try file.close() }
            }
        }

        @Test func `calls under way when the daemon dies end with ENOTCONN or ECONNABORTED`() throws
        {
            try withMount { mount in
                let path = mount.path
                let answers = Locked<[Int32]>([])
                let started = Locked(0)
                let threads = (0..<4).map { number in
                    TestThread(name: "caller") {
                        do throws(Errno) {
                            while true {
                                try SystemCall.writeFile("\(path)/\(number)", [1, 2, 3])
                                try SystemCall.unlink("\(path)/\(number)")
                                started.withLock { $0 += 1 }
                            }
                        } catch {
                            answers.withLock { $0.append(error.rawValue) }
                        }
                    }
                }
                #expect(Polling.wait(limitSeconds: 60) { started.withLock { $0 } > 50 })
                try mount.killDaemon()
                for thread in threads { thread.join() }
                #expect(Set(answers.withLock { $0 }).isSubset(of: [ENOTCONN, ECONNABORTED]))
                #expect(answers.withLock { $0 }.count == 4)
                #expect(throws: Errno(rawValue: ENOTCONN)) { try SystemCall.mkdir(path + "/new") }
            }
        }

        @Test func `a mount that died while the kernel knew its attributes is recovered, too`()
            throws
        {
            try withMount { mount in
                try SystemCall.writeFile(mount.path + "/file", "text")
                let known = try SystemCall.stat(mount.path)
                try mount.killDaemon()
                // Answered by the kernel, who asks nobody while it believes what it was told.
                #expect(try SystemCall.stat(mount.path).changeTime == known.changeTime)
                #expect(throws: Errno(rawValue: ENOTCONN)) { try SystemCall.statvfs(mount.path) }
                try mount.mount()
                #expect(try SystemCall.readFile(mount.path + "/file") == Array("text".utf8))
            }
        }

        @Test func `umount takes a dead mount point away`() throws {
            try withMount { mount in
                try SystemCall.writeFile(mount.path + "/file", "text")
                try mount.killDaemon()
                try mount.unmount()
                #expect(try Listing.names(mount.path) == [".", ".."])
                try mount.mount()
                #expect(try SystemCall.readFile(mount.path + "/file") == Array("text".utf8))
            }
        }

        @Test
        func `killed while four writers are at work, the volume mounts and holds what was synced`()
            throws
        {
            try withMount { mount in
                for round in 0..<3 {
                    let writers = (0..<4).map { SyncedWriter("\(mount.path)/\(round)-\($0)") }
                    let isUnderWay = Polling.wait(limitSeconds: 60) {
                        writers.allSatisfy { $0.syncedCount >= 5 }
                    }
                    #expect(isUnderWay)
                    try mount.killDaemon()
                    let counts = writers.map { $0.join() }
                    try mount.mount()
                    for (number, count) in counts.enumerated() {
                        let bytes = try SystemCall.readFile("\(mount.path)/\(round)-\(number)")
                        #expect(bytes.count >= count * SyncedWriter.record.count)
                        let isIntact = stride(
                            from: 0, to: count * SyncedWriter.record.count,
                            by: SyncedWriter.record.count
                        )
                        .allSatisfy {
                            Array(bytes[$0..<$0 + SyncedWriter.record.count]) == SyncedWriter.record
                        }
                        #expect(isIntact, "round \(round), writer \(number), \(count) records")
                    }
                }
            }
        }
    }
}

extension MountTests.KilledDaemonTests {
    /// The kernel would keep the dead daemon's device open, and the reader waiting, without the guard.
    @Test func `programs get an error when the daemon is killed in a notification`() throws {
        let server = try RedisServer(arguments: ["--appendonly", "yes"])
        let volume = try FaultVolume(on: server, flags: ["--io-timeout", "10m"])
        defer { volume.cleanUp() }
        try volume.mount()
        try SystemCall.writeFile(volume.path + "/file", Bytes.pattern(300_000, seed: 1))
        _ = try volume.unmount()
        try volume.mount()
        let daemon = try #require(volume.daemon)
        // SAFETY: closed with this function, after the reader was joined.
        nonisolated(unsafe) let file = try Descriptor(volume.path + "/file", O_RDONLY)
        server.pause()
        let outcome = Monitor<Errno?>(nil)
        let reader = TestThread(name: "reader") {
            do throws(Errno) {
                _ = try file.read(1_000)
                outcome.change { $0 = Errno(rawValue: 0) }
            } catch {
                outcome.change { $0 = error }
            }
        }
        // The page is locked by the read, and the loss of the subscription has the kernel drop it.
        #expect(
            Polling.wait {
                threads(of: getpid()).contains {
                    // request_wait_answer, or folio_wait_bit_common behind a readahead.
                    $0.name == "reader" && $0.waits.contains("_wait_")
                }
            })
        server.kill()
        #expect(Polling.wait(limitSeconds: 30) { notifies(daemon) })
        kill(daemon, SIGKILL)
        let error = outcome.wait(until: .after(milliseconds: 30_000)) { $0 }
        #expect(error != nil && error?.rawValue != 0)
        #expect(Polling.wait { !Mount.isRunning(daemon) })
        try volume.killDaemon()
        reader.join()
        try server.start()
        try volume.mount()
        let bytes = try SystemCall.readFile(volume.path + "/file")
        #expect(bytes == Bytes.pattern(300_000, seed: 1))
        #expect(try volume.unmount() == 0)
    }

    /// A thread of the daemon waits in the kernel without a way out.
    private func notifies(_ process: pid_t) -> Bool {
        threads(of: process).contains { $0.name.hasPrefix("apusfs-notify") && $0.state == "D" }
    }

    private func threads(of process: pid_t) -> [(name: String, state: String, waits: String)] {
        let directory = "/proc/\(process)/task"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.map { name in
            let status = lines("\(directory)/\(name)/status")
            func field(_ label: String) -> String {
                let line = status.first { $0.hasPrefix(label + ":") } ?? ""
                return String(
                    line.dropFirst(label.count + 1).drop { $0.isWhitespace }
                        .prefix { !$0.isWhitespace })
            }
            return (
                field("Name"), field("State"),
                lines("\(directory)/\(name)/wchan").first.map(String.init) ?? ""
            )
        }
    }

    private func lines(_ path: String) -> [Substring] {
        let text = FileManager.default.contents(atPath: path)
            .map { String(decoding: $0, as: UTF8.self) }
        return text?.split(separator: "\n") ?? []
    }
}

/// A thread that appends records to a file and syncs each, until the mount dies.
private final class SyncedWriter: Sendable {
    static let record = Bytes.pattern(9_001, seed: 42)

    private let synced = Locked(0)
    private let thread = Locked<TestThread?>(nil)

    init(_ path: String) {
        let started = TestThread(name: "writer") { [self] in
            do throws(Errno) {
                let file = try Descriptor(path, O_WRONLY | O_CREAT | O_APPEND)
                while true {
                    try file.writeAll(Self.record)
                    try file.sync()
                    synced.withLock { $0 += 1 }
                }
            } catch {
                // The mount died, which is what this waits for.
            }
        }
        thread.withLock { $0 = started }
    }

    var syncedCount: Int { synced.withLock { $0 } }

    /// Waits for the end; how many records were synced.
    func join() -> Int {
        thread.withLock { $0 }?.join()
        return syncedCount
    }
}
