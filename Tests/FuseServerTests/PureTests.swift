import CLinux
import Foundation
import Primitives
import Testing

@testable import FileSystem
@testable import FuseServer

/// What decides without a mount.
@Suite struct PureTests {
    // MARK: Limits

    @Test(arguments: [(0, true), (255, true), (256, false)])
    func `names end at 255 bytes`(count: Int, isAllowed: Bool) {
        let name = String(repeating: "x", count: count)
        #expect(Call.failure { _ = try Limits.entryName(name) } == (isAllowed ? nil : .nameTooLong))
        #expect(
            Call.failure { _ = try Limits.attributeName(name) } == (isAllowed ? nil : .outOfRange))
    }

    @Test func `targets end at 4095 bytes`() throws {
        try #expect(Limits.target(String(repeating: "x", count: 4_095)).bytes.count == 4_095)
        #expect(
            Call.failure { _ = try Limits.target(String(repeating: "x", count: 4_096)) }
                == .nameTooLong)
    }

    @Test func `unknown flags of rename and setxattr are refused`() throws {
        try #expect(Limits.renameFlags(7) == [.noReplace, .exchange, .whiteout])
        #expect(Call.failure { _ = try Limits.renameFlags(8) } == .invalid)
        #expect(Call.failure { _ = try Limits.setXattrMode(3) } == .invalid)
    }

    @Test func `room for nothing asks for the length`() throws {
        try #expect(Limits.asksForLength(count: 65_536, room: 0))
        try #expect(!Limits.asksForLength(count: 5, room: 5))
        #expect(Call.failure { _ = try Limits.asksForLength(count: 6, room: 5) } == .outOfRange)
        #expect(
            Call.failure { _ = try Limits.asksForLength(count: 65_537, room: 0) }
                == .argumentListTooLong)
    }

    // MARK: Wire

    @Test(arguments: [
        (0.0, UInt64(0), UInt32(0)), (-1.0, 0, 0), (.nan, 0, 0), (1.5, 1, 500_000_000),
        (0.25, 0, 250_000_000), (.infinity, 4_000_000_000, 0), (1e300, 4_000_000_000, 0),
    ])
    func `a time limit is whole seconds and nanoseconds`(
        timeout: Double, seconds: UInt64, nanoseconds: UInt32
    ) {
        let validity = Validity(timeout)
        #expect(validity.seconds == seconds)
        #expect(validity.nanoseconds == nanoseconds)
    }

    @Test(arguments: [(false, 24), (true, 152)])
    func `a listing takes what fits, padded to 8 bytes, and not one byte more`(
        withAttributes: Bool, headBytes: Int
    ) {
        for nameBytes in [1, 7, 8, 9, 255] {
            let record = (headBytes + nameBytes + 7) / 8 * 8
            let name = [UInt8](repeating: 0x61, count: nameBytes)
            for (room, fitting) in [(record - 1, 0), (record, 1), (3 * record + 7, 3)] {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 8)
                defer { memory.deallocate() }
                var listing = DirectoryListing(memory, withAttributes: withAttributes)
                var results: [DirectoryListing.Result] = []
                for number in 0..<4 {
                    let inode = InodeID(UInt64(number) + 10)
                    let answer = EntryAnswer(
                        attributes: MemoryFileSystem.attributes(inode, .regular, 0o644),
                        entryTimeoutSeconds: 1, attributesTimeoutSeconds: 1)
                    results.append(
                        name.withUnsafeBytes {
                            listing.append(
                                DirectoryEntry(
                                    name: FileName($0), inode: inode, kind: .regular,
                                    cookie: UInt64(number), answer: answer))
                        })
                }
                let taken = [DirectoryListing.Result](repeating: .taken, count: fitting)
                let full = [DirectoryListing.Result](repeating: .full, count: 4 - fitting)
                #expect(results == taken + full)
                #expect(listing.byteCount == fitting * record)
                var references: [InodeID] = []
                listing.forEachReference { references.append($0) }
                let delivered = (0..<fitting).map { InodeID(UInt64($0) + 10) }
                #expect(references == (withAttributes ? delivered : []))
            }
        }
    }

    @Test func `a request that is cut short has no flags`() {
        // A header that says WRITE, and nothing behind it.
        var bytes = [UInt8](repeating: 0xFF, count: 40)
        bytes.replaceSubrange(4..<8, with: [16, 0, 0, 0])
        for count in 0...40 {
            bytes[..<count].withUnsafeBytes { part in
                #expect(!RawRequest(part).clearsPrivileges)
                #expect(RawRequest(part).opcode == (count == 40 ? 16 : 0))
                #expect(RawRequest(part).initialization == nil)
            }
        }
    }

    // MARK: Mounting

    @Test func `the mount table names the last mount at a path, with its escapes undone`() {
        let text = #"""
            21 1 0:20 / / rw - ext4 /dev/vda rw
            40 21 0:45 / /mnt/a\040b\134c rw,nosuid shared:1 - fuse.x x rw
            41 21 0:46 / /mnt/a\040b\134c rw - fuse.x x rw
            broken line
            42 21 x:y / /other rw - fuse.x x rw
            """#
        let table = MountTable(mountinfo: Array(text.utf8))
        #expect(table.entries.count == 3)
        #expect(table.device(at: #"/mnt/a b\c"#) == MountTable.Device(major: 0, minor: 46))
        #expect(table.device(at: "/other") == nil)
    }

    @Test func `options are one argument each, with libfuse's escapes`() {
        var options = FuseOptions()
        options.sourceName = #"a,b\c"#
        options.readOnly = true
        options.mountOptions = ["noatime"]
        #expect(
            options.arguments == [
                #"-ofsname=a\,b\\c"#, "-osubtype=apusfs", "-odefault_permissions", "-oro",
                "-onoatime",
            ])
    }

    @Test func `libfuse's messages lose their prefix and their line end`() {
        #expect(
            LibfuseLog.tidied("fuse: unknown option(s): `-obogus'\n")
                == "unknown option(s): `-obogus'")
        #expect(LibfuseLog.tidied("two\nlines\n") == "two lines")
        #expect(LibfuseLog.tidied("") == "")
    }

    @Test func `a server mounts once and serves once`() {
        var lifecycle = Lifecycle()
        #expect(lifecycle.requestStop() == nil)
        let steps = [
            lifecycle.begin(.serving), lifecycle.begin(.mounted), lifecycle.begin(.mounted),
        ]
        #expect(steps == [false, true, false])
        let serving = [lifecycle.begin(.serving), lifecycle.begin(.serving)]
        #expect(serving == [true, false])
    }

    // MARK: Threads

    @Test func `a worker that is cancelled while it waits for a request is not torn out of it`()
        throws
    {
        // libfuse cancels its workers; the thread would be unwound through the Swift frames of the callback.
        var pipeEnds: [Int32] = [0, 0]
        try Call.checked(pipe(&pipeEnds))
        defer { pipeEnds.forEach { close($0) } }
        var thread = pthread_t()
        let created = pthread_create(
            &thread, nil,
            { argument in
                var buffer: UInt64 = 0
                let received = Transport.receive(Int32(Int(bitPattern: argument)), &buffer, 8, nil)
                return UnsafeMutableRawPointer(bitPattern: received)
            }, UnsafeMutableRawPointer(bitPattern: Int(pipeEnds[0])))
        #expect(created == 0)
        pthread_cancel(thread)
        try #expect(Call.checked(write(pipeEnds[1], [UInt8](repeating: 0, count: 8), 8)) == 8)
        var result: UnsafeMutableRawPointer?
        #expect(pthread_join(thread, &result) == 0)
        #expect(result == UnsafeMutableRawPointer(bitPattern: 8), "not PTHREAD_CANCELED")
    }

    @Test func `a process's supplementary groups are those of getgroups`() {
        var own = [gid_t](repeating: 0, count: 1_024)
        let count = max(0, Int(getgroups(1_024, &own)))
        let caller = Caller(userID: 0, groupID: 0, processID: getpid())
        #expect(caller.supplementaryGroups() == Array(own[..<count]))
        #expect(Caller(userID: 0, groupID: 0, processID: 0).supplementaryGroups() == [])
        let status = Array("Name:\tx\nGroups:\t4 24 4294967294 \nUid:\t1\n".utf8)
        #expect(Caller.groups(inStatus: status) == [4, 24, 4_294_967_294])
        #expect(Caller.groups(inStatus: Array("Groups:\t \n".utf8)) == [])
    }
}
