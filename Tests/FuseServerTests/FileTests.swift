import CLinux
import FileSystem
import Foundation
import FuseServer
import Primitives
import Telemetry
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct FileTests {
    static func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    @Test(arguments: [false, true]) func `a write of 1 MiB arrives as one request`(
        direct: Bool
    ) throws {
        try withMount { mount in
            mount.files.configure { $0.configureOpen = { $0.direct = direct } }
            let bytes = Self.pattern(1 << 20)
            // On a page boundary: a direct write lends the program's pages, of which 256 fit a request.
            let aligned = UnsafeMutableRawBufferPointer.allocate(
                byteCount: bytes.count, alignment: 4_096)
            defer { aligned.deallocate() }
            aligned.copyBytes(from: bytes)
            try Call.withFile(mount.path + "/file", O_CREAT | O_WRONLY) { file in
                try #expect(Call.checked(write(file, aligned.baseAddress, 1 << 20)) == 1 << 20)
            }
            #expect(
                mount.files.record.writes == [
                    MemoryFileSystem.Write(offset: 0, count: 1 << 20, options: [])
                ])
            try #expect(Call.contents(mount.path + "/file") == bytes)
        }
    }

    @Test(arguments: [1, 7, 4_096, 100_000, 1 << 20])
    func `a read is put together from pieces of any size`(pieceBytes: Int) throws {
        try withMount { mount in
            // Pieces of one byte are more than one writev takes.
            let count = pieceBytes == 1 ? 5_000 : 300_001
            let bytes = Self.pattern(count)
            mount.files.plant("file", data: bytes)
            mount.files.configure {
                $0.pieceBytes = pieceBytes
                $0.configureOpen = { $0.direct = true }
            }
            try #expect(Call.contents(mount.path + "/file") == bytes)
            try Call.withFile(mount.path + "/file", O_RDONLY) { file in
                try #expect(Call.read(file, count: 10, at: 3) == Array(bytes[3..<13]))
                try #expect(Call.read(file, count: 10, at: count - 4) == Array(bytes.suffix(4)))
                try #expect(Call.read(file, count: 10, at: count) == [])
                try #expect(Call.read(file, count: 10, at: 1 << 40) == [])
            }
        }
    }

    @Test func `the flags of open arrive`() throws {
        try withMount { mount in
            mount.files.plant("file")
            let path = mount.path + "/file"
            for flags in [
                O_RDONLY, O_WRONLY, O_RDWR | O_APPEND, O_WRONLY | O_TRUNC, O_RDWR | O_SYNC,
                O_RDWR | O_DSYNC, O_RDWR | apusfs_o_direct(),
            ] {
                close(try Call.open(path, flags))
            }
            close(try Call.open(mount.path + "/new", O_CREAT | O_EXCL | O_RDWR))
            #expect(
                mount.files.record.opens == [
                    .read, .write, [.read, .write, .append], [.write, .truncate],
                    [.read, .write, .synchronous], [.read, .write, .synchronous],
                    [.read, .write, .direct], [.read, .write, .exclusive],
                ])
        }
    }

    /// Of this process. A program that another test starts at this moment has the descriptor until its
    /// exec closes it, which is a flush by another owner.
    private func flushes(of mount: TestMount) -> Int {
        let owners = mount.files.record.flushOwners
        return owners.map { owner in owners.filter { $0 == owner }.count }.max() ?? 0
    }

    @Test func `each close flushes unless the handle says that it need not`() throws {
        try withMount { mount in
            mount.files.plant("file")
            try Call.withFile(mount.path + "/file", O_RDWR) { file in
                close(dup(file))
                #expect(flushes(of: mount) == 1)
            }
            #expect(flushes(of: mount) == 2)
            #expect(mount.files.wait { $0.record.releases == 1 })
            mount.files.configure { $0.configureOpen = { $0.skipsFlush = true } }
            mount.files.forgetRecord()
            try Call.withFile(mount.path + "/file", O_RDWR) { _ in }
            #expect(mount.files.wait { $0.record.releases == 1 })
            #expect(mount.files.record.flushOwners.isEmpty)
        }
    }

    @Test func `a failed flush is the error of close`() throws {
        try withMount { mount in
            mount.files.plant("file")
            mount.files.configure { $0.failures["flush"] = .noSpace }
            #expect(
                Call.failure { try Call.withFile(mount.path + "/file", O_RDWR) { _ in } }
                    == .noSpace)
            #expect(mount.files.wait { $0.record.releases == 1 })
        }
    }

    @Test func `pages stay cached over an open that keeps them, and only then`() throws {
        for keeps in [true, false] {
            try withMount { mount in
                mount.files.plant("file", data: Self.pattern(10_000))
                mount.files.configure { $0.configureOpen = { $0.keepsCache = keeps } }
                _ = try Call.contents(mount.path + "/file")
                let first = mount.files.record.calls["read"] ?? 0
                _ = try Call.contents(mount.path + "/file")
                let second = (mount.files.record.calls["read"] ?? 0) - first
                #expect(first > 0)
                #expect(keeps ? second == 0 : second > 0)
            }
        }
    }

    @Test func `direct writes to one file run at the same time when the handle allows it`() throws {
        try withMount { mount in
            mount.files.plant("file", data: [UInt8](repeating: 0, count: 8_192))
            mount.files.configure {
                $0.held = ["write"]
                $0.configureOpen = {
                    $0.direct = true
                    $0.parallelDirectWrites = true
                }
            }
            let path = mount.path + "/file"
            let writers = (0..<2).map { index in
                TestThread(name: "writer") {
                    do {
                        try Call.withFile(path, O_RDWR) {
                            try Call.write($0, [UInt8(index + 1)], at: index * 4_096)
                        }
                    } catch { Issue.record(error) }
                }
            }
            #expect(mount.files.wait { $0.record.heldCount["write"] == 2 })
            mount.files.configure { $0.held = [] }
            writers.forEach { $0.join() }
        }
    }

    @Test func `fsync and fdatasync are told apart, for directories too`() throws {
        try withMount { mount in
            try Call.withFile(mount.path + "/file", O_CREAT | O_RDWR) { file in
                try Call.checked(fsync(file))
                #expect(mount.files.record.lastDataOnly == false)
                try Call.checked(fdatasync(file))
                #expect(mount.files.record.lastDataOnly == true)
            }
            try Call.withFile(mount.path, O_RDONLY | O_DIRECTORY) { directory in
                try Call.checked(fsync(directory))
                #expect(mount.files.record.lastDataOnly == false)
                #expect(mount.files.record.calls["fsyncdir"] == 1)
            }
        }
    }

    @Test func `fallocate, seeking for data and copying of ranges arrive`() throws {
        try withMount { mount in
            mount.files.plant("from", data: Self.pattern(10_000))
            try Call.withFile(mount.path + "/from", O_RDWR) { from in
                try Call.fallocate(from, mode: 3, offset: 4_096, length: 8_192)
                let allocation = try #require(mount.files.record.lastFallocate)
                #expect(allocation.mode == 3 && allocation.offset == 4_096)
                #expect(allocation.length == 8_192)
                #expect(lseek(from, 5, 3) == 5)
                #expect(lseek(from, 5, 4) == 10_000)
                #expect(Call.failure { try Call.checked(lseek(from, 10_000, 3)) } == .noSuchDevice)
                try Call.withFile(mount.path + "/to", O_CREAT | O_RDWR) { target in
                    try #expect(Call.copyRange(from, target, at: 100, length: 9_000) == 9_000)
                }
                #expect(mount.files.record.calls["copyFileRange"] == 1)
            }
            let copied = try Call.contents(mount.path + "/to")
            #expect(Array(copied[100...]) == Array(Self.pattern(10_000)[..<9_000]))
        }
    }

    @Test func `an ioctl is not for this kind of file`() throws {
        try withMount { mount in
            mount.files.plant("file")
            try Call.withFile(mount.path + "/file", O_RDWR) { file in
                var value: Int32 = 0
                #expect(
                    Call.failure { try Call.checked(ioctl(file, UInt(0x5401), &value)) }
                        == .inappropriateIoctl)
            }
        }
    }

    @Test func `locks are the kernel's own and cost no request`() throws {
        try withMount { mount in
            mount.files.plant("file")
            try Call.withFile(mount.path + "/file", O_RDWR) { file in
                let before = mount.metrics.value(of: .fuseRequests)
                var range = flock(
                    l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 10,
                    l_pid: 0)
                try Call.checked(fcntl(file, F_SETLK, &range))
                try Call.checked(flock(file, LOCK_EX | LOCK_NB))
                #expect(mount.metrics.value(of: .fuseRequests) == before)
            }
        }
    }
}
