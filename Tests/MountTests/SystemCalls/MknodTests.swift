import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests.SystemCallTests {
    @Suite struct MknodTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        @Test(arguments: [S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK])
        func `each kind is made with its mode, and devices with their number`(kind: mode_t) throws {
            let device: dev_t = kind == S_IFCHR || kind == S_IFBLK ? (259 << 8 | 7) : 0
            try Person.withMask(0o022) {
                try SystemCall.mknod(place["node"], kind | 0o666, device: device)
            }
            let status = try SystemCall.lstat(place["node"])
            #expect(status.kind == kind)
            #expect(status.permissions == 0o644)
            #expect(status.st_rdev == device)
            #expect(status.st_nlink == 1)
            #expect(try Listing.kinds(place.path)["node"] == UInt8(kind >> 12))
            try SystemCall.unlink(place["node"])
        }

        @Test func `bytes go through a fifo`() throws {
            try SystemCall.mknod(place["fifo"], S_IFIFO | 0o600)
            let path = place["fifo"]
            let writer = TestThread(name: "fifo") {
                do throws(Errno) {
                    try Descriptor(path, O_WRONLY).writeAll(Array("through".utf8))
                } catch {
                    Issue.record("writing into the fifo: \(error)")
                }
            }
            #expect(try SystemCall.readFile(path) == Array("through".utf8))
            writer.join()
        }

        @Test func `a unix socket is bound on the mount and takes a connection`() throws {
            // A short path: an address holds 107 bytes.
            let path = place["s"]
            let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            defer {
                close(listener)
                close(client)
            }
            let results = withUnixAddress(path) { address, length in
                [
                    bind(listener, address, length), listen(listener, 1),
                    connect(client, address, length),
                ]
            }
            #expect(results == [0, 0, 0])
            #expect(try SystemCall.stat(path).kind == S_IFSOCK)
        }

        @Test func `only root makes devices`() throws {
            try SystemCall.chmod(place.path, 0o777)
            try Person.alice.run {
                #expect(throws: Errno.notPermitted) {
                    try SystemCall.mknod(place["null"], S_IFCHR | 0o666, device: 1 << 8 | 3)
                }
                try SystemCall.mknod(place["fifo"], S_IFIFO | 0o666)
            }
        }
    }
}
