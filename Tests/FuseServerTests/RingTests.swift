import CLinux
import FileSystem
import Foundation
import Primitives
import TestSupport
import Testing

@testable import FuseServer

/// FUSE over io_uring; where the kernel has none, that a mount says so. What the whole filesystem does over
/// it is in .ci/conformance.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RingTests {
    private static let parameter = "/sys/module/fuse/parameters/enable_uring"

    /// A mount over rings; the kernel's switch is as before when it is gone.
    private func withRings(
        configure: (inout FuseOptions) -> Void = { _ in }, _ body: (TestMount) throws -> Void
    ) throws {
        guard let before = SystemFile.contents(of: Self.parameter) else {
            var options = FuseOptions()
            options.transport = .uring
            let failure = #expect(throws: FuseError.self) { try TestMount(options: options) }
            #expect("\(failure.map(String.init(describing:)) ?? "")".contains("Linux 6.14"))
            return
        }
        defer { _ = SystemFile.write(String(decoding: before, as: UTF8.self), to: Self.parameter) }
        try withMount(configure: {
            $0.transport = .uring
            configure(&$0)
        }) { mount in
            try #expect(
                #require(mount.server.negotiated).accepted.contains(.overIOUring))
            let before = mount.server.ringRequests
            _ = try Call.status(mount.path + "/.")
            #expect(Call.failure { _ = try Call.status(mount.path + "/nothing") } == .noEntry)
            #expect(mount.server.ringRequests > before)
            try body(mount)
        }
    }

    @Test(arguments: [1, 4_095, 4_096, 100_000, 1_048_576, 5_000_001])
    func `bytes pass unchanged in both directions`(count: Int) throws {
        try withRings { mount in
            let path = mount.path + "/file"
            let bytes = FileTests.pattern(count)
            try Call.create(path, bytes)
            try Call.dropCaches(of: mount.path)
            for pieceBytes in [1_000_000, 4_096, 60_000] {
                mount.files.configure {
                    $0.pieceBytes = pieceBytes
                    $0.configureOpen = { $0.direct = true }
                }
                try #expect(Call.contents(path) == bytes)
            }
        }
    }

    @Test func `every other operation works`() throws {
        try withRings { mount in
            let root = mount.path
            for index in 0..<500 { try Call.create(root + "/file-\(index)", [1, 2, 3]) }
            try #expect(Call.list(root).count == 502)
            try Call.setxattr(root + "/file-0", "user.a", [UInt8](repeating: 3, count: 60_000))
            try #expect(Call.getxattr(root + "/file-0", "user.a", room: 60_000).count == 60_000)
            mount.files.configure { $0.failures["write"] = .noSpace }
            #expect(
                Call.failure {
                    try Call.create(root + "/full", [UInt8](repeating: 1, count: 200_000))
                } == .noSpace)
            mount.files.configure { $0.failures = [:] }
            try Call.create(root + "/again", [UInt8](repeating: 1, count: 200_000))
            try #expect(Call.contents(root + "/again") == [UInt8](repeating: 1, count: 200_000))
        }
    }

    @Test func `names and targets of any length arrive whole`() throws {
        try withRings { mount in
            for count in [1, 7, 8, 127, 128, 255] {
                let name = String(repeating: "n", count: count)
                try Call.create(mount.path + "/" + name, [UInt8(count)])
                try #expect(Call.contents(mount.path + "/" + name) == [UInt8(count)])
            }
            for count in [1, 128, 4_095] {
                let link = mount.path + "/link-\(count)"
                let target = String(repeating: "t", count: count)
                try Call.checked(symlink(target, link))
                var found = [UInt8](repeating: 0, count: 5_000)
                let length = try Call.checked(readlink(link, &found, found.count))
                #expect(String(decoding: found[..<length], as: UTF8.self) == target)
            }
        }
    }

    @Test func `handlers that wait hold up nobody`() throws {
        try withRings(configure: { $0.threads = 8 }) { mount in
            mount.files.plant("file", data: [1])
            mount.files.configure { $0.held = ["open"] }
            let path = mount.path + "/file"
            // All of them may be on one CPU.
            let programs = (0..<7).map { _ in
                TestThread(name: "program") {
                    do { try #expect(Call.contents(path) == [1]) } catch { Issue.record(error) }
                }
            }
            #expect(mount.files.wait { $0.record.heldCount["open"] == 7 })
            #expect(Call.failure { _ = try Call.status(mount.path + "/other") } == .noEntry)
            mount.files.configure { $0.held = [] }
            programs.forEach { $0.join() }
        }
    }

    @Test func `answers that come later, one after the other, need no more entries`() throws {
        try withRings(configure: { $0.threads = 2 }) { mount in
            let inode = mount.files.plant("file", data: [1])
            let notifier = try #require(mount.files.notifier)
            let path = mount.path + "/file"
            let before = mount.server.ringEntries
            for _ in 0..<300 {
                // An open waits until the kernel has been told of all of these.
                for _ in 0..<50 { notifier.invalidateInode(inode, range: 0..<4_096) }
                for other in 1_000..<1_100 as Range<UInt64> {
                    notifier.invalidateInode(InodeID(2 * other + inode.rawValue % 2), range: nil)
                }
                try #expect(Call.contents(path) == [1])
            }
            let threads = 2 * RingTransport.possibleCPUs()
            #expect(mount.server.ringEntries > before, "no answer came later")
            #expect(mount.server.ringEntries <= 2 * threads)
        }
    }

    @Test func `programs that work side by side find what they wrote`() throws {
        try withRings { mount in
            let root = mount.path
            let programs = (0..<8).map { number in
                TestThread(name: "program") {
                    do {
                        for round in 0..<60 {
                            let path = root + "/file-\(number)-\(round)"
                            let bytes = FileTests.pattern(
                                round * 977, seed: UInt64(number * 1_000 + round))
                            try Call.create(path, bytes)
                            try #expect(Call.contents(path) == bytes)
                            try Call.rename(path, path + ".new")
                        }
                    } catch { Issue.record(error) }
                }
            }
            programs.forEach { $0.join() }
            try #expect(Call.list(root).count == 8 * 60 + 2)
        }
    }

    @Test func `an abort of the connection ends the server`() throws {
        try withRings { mount in
            try Call.create(mount.path + "/file", [1])
            _ = apusfs_umount(mount.path, Int32(APUSFS_MNT_FORCE))
            try mount.waitForEnd()
            #expect(!mount.isMounted)
        }
    }

    @Test func `a mount that has ended leaves no ring`() throws {
        func rings() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter {
                let target = try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/self/fd/" + $0)
                return target?.contains("io_uring") == true
            }.count
        }
        var most = 0
        for _ in 0..<20 {
            try withRings { mount in
                try Call.create(mount.path + "/file", [1])
                most = max(most, try rings())
            }
        }
        // Mounts of other tests come and go meanwhile; twenty of them would not.
        #expect(most < 20 * RingTransport.threadsPerCPU(8, cpus: RingTransport.possibleCPUs()))
    }

    @Test func `each CPU has as many threads as there are programs to wait for, or two`() {
        #expect(RingTransport.threadsPerCPU(8, cpus: 1) == 8)
        #expect(RingTransport.threadsPerCPU(8, cpus: 8) == 8)
        #expect(RingTransport.threadsPerCPU(8, cpus: 16) == 4)
        #expect(RingTransport.threadsPerCPU(8, cpus: 128) == 2)
        #expect(RingTransport.threadsPerCPU(1, cpus: 2) == 2)
    }

    @Test func `the kernel's lists of CPUs are counted`() {
        #expect(RingTransport.numberOfCPUs("0\n") == 1)
        #expect(RingTransport.numberOfCPUs("0-3\n") == 4)
        #expect(RingTransport.numberOfCPUs("0-3,8,10-11\n") == 7)
        for broken in ["", "x", "3-1", "0-", "1--2"] {
            #expect(RingTransport.numberOfCPUs(broken) == nil, "\(broken)")
        }
    }
}
