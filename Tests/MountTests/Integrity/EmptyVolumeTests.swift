import Glibc
import Primitives
import TestSupport
import Testing

extension MountTests {
    @Suite struct EmptyVolumeTests {
        @Test(arguments: ["none", "lz4", "zlib:1"])
        func `after everything is deleted and unmounted the store holds the empty volume alone`(
            codec: String
        ) throws {
            let server = try RedisServer()
            try withMount(server: server, layout: ["--codec", codec]) { mount in
                let empty = try server.keys()
                #expect(empty.filter { $0 == "{test}" || $0 == "{test}i1" }.count == 2)
                try Tree(fileCount: 400, seed: 5).make(at: mount.path + "/tree")
                try Sparse.make(mount.path + "/sparse")
                for index in 0..<20 {
                    try SystemCall.setXattr(
                        mount.path + "/sparse", "user.\(index)", Bytes.pattern(2_000, seed: 1))
                }
                try SystemCall.link(mount.path + "/sparse", mount.path + "/link")
                let open = try Descriptor(mount.path + "/sparse", O_RDWR)
                try mount.touchAndTruncate()
                try ProgramRun.run(["find", mount.path, "-mindepth", "1", "-delete"]).checked()
                try open.write(Bytes.pattern(300_000, seed: 2))
                try open.close()
                try mount.unmount()
                #expect(try server.keys() == ["{test}", "{test}i1"])
                #expect(try server.cli("HGET", "{test}", "inodes") == "1")
                #expect(["0", ""].contains(try server.cli("HGET", "{test}", "blocks")))
                try mount.mount()
                #expect(try Listing.names(mount.path) == [".", ".."])
            }
        }
    }
}

private enum Sparse {
    /// A file with bytes at its start, in the middle, and far behind.
    static func make(_ path: String) throws(Errno) {
        let file = try Descriptor(path, O_RDWR | O_CREAT)
        for offset in [0, 5_000_000, 1 << 33, 1 << 45] {
            try file.write(Bytes.pattern(200_000, seed: UInt64(offset)), at: offset)
        }
    }
}

extension Mount {
    /// Truncations that leave blocks behind to be dropped: to nothing, to less, and to more.
    fileprivate func touchAndTruncate() throws(Errno) {
        for (index, size) in [0, 100_000, 5_000_000].enumerated() {
            let name = "\(path)/cut-\(index)"
            try SystemCall.writeFile(name, Bytes.pattern(1_000_000, seed: 9))
            try SystemCall.truncate(name, size)
        }
    }
}
