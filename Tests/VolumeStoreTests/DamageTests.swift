import Codecs
import FileSystem
import KeyValue
import Primitives
import Telemetry
import Testing

@testable import VolumeStore

/// What cannot be right in the store: EIO for that file, a counter, never a crash.
@Suite struct DamageTests {
    private func set(_ volume: TestVolume, _ key: Bytes, _ field: String, _ value: String) throws {
        _ = try volume.store.commit(
            Batch(mutations: [
                .setFields(key: key, [Pair(Bytes(field.utf8), Bytes(value.utf8))])
            ]))
    }

    @Test(arguments: [
        ("s", "-1"), ("m", "0"), ("n", "x"), ("l", "18446744073709551615"), ("?", ""),
    ])
    func `a damaged inode is EIO, and its neighbours are not`(
        _ field: (String, String)
    ) throws {
        let volume = try TestVolume()
        let bad = try volume.file("bad")
        let good = try volume.file("good")
        try set(volume, volume.mount.schema.inode(bad.id), field.0, field.1)
        let before = volume.metrics.value(of: .malformedRecords)
        #expect(throws: Errno.ioError) {
            try volume.mount.lookup(parent: .root, name: .name("bad"))
        }
        #expect(volume.metrics.value(of: .malformedRecords) == before + 1)
        #expect(throws: Errno.ioError) { try volume.mount.record(of: bad.id) }
        #expect(try volume.mount.lookup(parent: .root, name: .name("good")).id == good.id)
        let page = try volume.mount.page(of: .root)
        #expect(page.entries.count == 2)
        #expect(page.entries.first { $0.inode == bad.id }?.record == nil)
        #expect(page.entries.first { $0.inode == good.id }?.record?.id == good.id)
    }

    @Test(arguments: ["-1", "-5000", "0"])
    func `a counter of numbers that is too low is EIO, and no number below the root's is given out`(
        _ value: String
    ) throws {
        let volume = try TestVolume()
        volume.mount.identifiers.discard()
        try set(volume, volume.mount.schema.volume, "ni", value)
        #expect(throws: Errno.ioError) { try volume.file("a") }
    }

    @Test(arguments: ["", "x", "7", "7:", "7:q", "-7:f", "99999999999999999999:f"])
    func `a damaged entry is EIO, and the rest of its directory is listed`(
        _ value: String
    ) throws {
        let volume = try TestVolume()
        _ = try volume.file("good")
        try set(volume, volume.mount.schema.directory(.root), "bad", value)
        #expect(throws: Errno.ioError) {
            try volume.mount.lookup(parent: .root, name: .name("bad"))
        }
        let page = try volume.mount.page(of: .root)
        #expect(page.entries.map(\.name) == [.name("good")])
    }

    @Test func `an entry of another type than its inode, or without one, is EIO`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        let directory = volume.mount.schema.directory(.root)
        try set(volume, directory, "a", "\(made.id):d")
        try set(volume, directory, "dangling", "4000:f")
        for name in ["a", "dangling"] {
            #expect(throws: Errno.ioError) {
                try volume.mount.lookup(parent: .root, name: .name(name))
            }
        }
        #expect(try volume.mount.page(of: .root).entries.count == 2)
    }

    @Test func `a key of another kind is EIO`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        let key = volume.mount.schema.block(BlockAddress(data: made.data, index: BlockIndex(0)))
        _ = try volume.store.commit(
            Batch(mutations: [
                .setFields(key: key, [Pair([1], [1])]),
                .set(key: volume.mount.schema.inode(InodeID(4_000)), value: [1]),
            ]))
        #expect(throws: Errno.ioError) { try volume.read(made.data, 0) }
        #expect(throws: Errno.ioError) { try volume.mount.record(of: InodeID(4_000)) }
    }

    struct HostileBlock: CustomTestStringConvertible {
        let testDescription: String
        let value: Bytes
    }

    static let packed = BlockFrame.packed(codec: 1, originalBytes: 4_096, checksum: 7, epoch: 0)

    static let hostile = [
        HostileBlock(testDescription: "shorter than a frame", value: [0x41, 0x50, 1]),
        HostileBlock(testDescription: "text", value: Bytes("hello, this is no block".utf8)),
        HostileBlock(
            testDescription: "longer than a block",
            value: BlockFrame.raw(epoch: 0).header.bytes + Bytes(repeating: 1, count: 4_097)),
        HostileBlock(
            testDescription: "a wrong checksum", value: packed.header.bytes + [1, 2, 3, 4]),
        HostileBlock(
            testDescription: "an unknown codec",
            value: BlockFrame.packed(codec: 9, originalBytes: 9, checksum: 0, epoch: 0).header.bytes
        ),
        HostileBlock(
            testDescription: "a bomb",
            value: BlockFrame.packed(
                codec: 2, originalBytes: 0xFFFF_FFFF, checksum: 0, epoch: 0
            ).header.bytes + [1]),
    ]

    @Test(arguments: hostile)
    func `a hostile block is EIO`(_ hostile: HostileBlock) throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        let key = volume.mount.schema.block(BlockAddress(data: made.data, index: BlockIndex(0)))
        _ = try volume.store.commit(Batch(mutations: [.set(key: key, value: hostile.value)]))
        let before = volume.metrics.value(of: .malformedRecords)
        #expect(throws: Errno.ioError) { try volume.read(made.data, 0) }
        #expect(volume.metrics.value(of: .malformedRecords) == before + 1)
    }

    @Test(arguments: [Codec.lz4, .zlib(level: 6)])
    func `no byte of a packed block can change unnoticed`(_ codec: Codec) throws {
        let volume = try TestVolume { $0.codec = codec }
        let made = try volume.file("a")
        let text = (0..<400).map { "line \($0 % 37)\n" }.joined()
        try volume.write(made, String(text.prefix(4_096)))
        let intact = try volume.read(made.data, 0)
        let key = volume.mount.schema.block(BlockAddress(data: made.data, index: BlockIndex(0)))
        guard case .value(let stored?) = try volume.store.read([.value(key: key)])[0] else {
            Issue.record("the block is stored")
            return
        }
        for position in stored.indices {
            var changed = stored
            changed[position] ^= 0x10
            _ = try volume.store.commit(Batch(mutations: [.set(key: key, value: changed)]))
            // The epoch is not checked; every other byte is.
            if (5...7).contains(position) {
                #expect(try volume.read(made.data, 0) == intact)
            } else {
                #expect(throws: Errno.ioError, "byte \(position)") {
                    try volume.read(made.data, 0)
                }
            }
        }
        for count in [stored.count - 1, 17, 16] {
            _ = try volume.store.commit(
                Batch(mutations: [.set(key: key, value: Bytes(stored[..<count]))]))
            #expect(throws: Errno.ioError) { try volume.read(made.data, 0) }
        }
    }

    @Test func `a cycle of directories ends in EIO`() throws {
        let volume = try TestVolume()
        let a = try volume.directory("a")
        let b = try volume.directory("b", in: a.id)
        let c = try volume.directory("c")
        try set(volume, volume.mount.schema.inode(a.id), "p", "\(b.id)")
        volume.mount.known.forgetAll()
        #expect(throws: Errno.ioError) {
            try volume.mount.rename(
                from: (.root, .name("c"), c), to: (b.id, .name("c"), nil), flags: [],
                isOpen: { _ in false }, time: time(1))
        }
    }

    @Test func `a member of the garbage list that is none stops nothing`() throws {
        let volume = try TestVolume()
        _ = try volume.store.commit(
            Batch(mutations: [
                .addMember(key: volume.mount.schema.garbage, Member(Bytes("junk".utf8), score: 1))
            ]))
        let made = try volume.file("a")
        try volume.write(made, "content")
        _ = try volume.mount.unlink(
            parent: .root, name: .name("a"), believed: nil, isOpen: { _ in false }, time: time(1))
        volume.mount.close()
        #expect(try volume.garbage() == [Bytes("junk".utf8)])
        #expect(try volume.blockKeys(of: made.data, 0..<1) == [false])
    }

    @Test func `extended attributes are set, replaced, listed and removed`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a")
        let mount = volume.mount
        #expect(!made.hasXattrs)
        #expect(throws: Errno.noAttribute) {
            try mount.setXattr(
                made.id, name: .name("user.a"), value: [1], mode: .replace, time: time(1))
        }
        #expect(
            try volume.trips {
                try mount.setXattr(
                    made.id, name: .name("user.a"), value: [0, 255], mode: .create, time: time(500))
            } == 1)
        #expect(throws: Errno.exists) {
            try mount.setXattr(
                made.id, name: .name("user.a"), value: [1], mode: .create, time: time(1))
        }
        try mount.setXattr(
            made.id, name: .name("user.b"), value: [], mode: .createOrReplace, time: time(1))
        #expect(try mount.xattr(made.id, name: .name("user.a")) == [0, 255])
        #expect(try mount.xattr(made.id, name: .name("user.b")) == [])
        #expect(try mount.xattr(made.id, name: .name("user.c")) == nil)
        #expect(Set(try mount.xattrs(made.id).map(\.name)) == [.name("user.a"), .name("user.b")])
        let record = try mount.record(of: made.id)
        #expect(record.hasXattrs)
        #expect(record.changeTime == time(500))
        try mount.removeXattr(made.id, name: .name("user.a"), time: time(1))
        #expect(throws: Errno.noAttribute) {
            try mount.removeXattr(made.id, name: .name("user.a"), time: time(1))
        }
        #expect(throws: Errno.stale) {
            try mount.setXattr(
                InodeID(999), name: .name("user.a"), value: [], mode: .create, time: time(1))
        }
    }

    @Test func `attributes are set to exact values`() throws {
        let volume = try TestVolume()
        let made = try volume.file("a", at: 1_000)
        try volume.mount.setAttributes(
            of: made.id,
            RecordChange(
                permissions: 0o4755, userID: 0, groupID: 9, accessTime: time(-7),
                modificationTime: time(3), changeTime: time(2_000)))
        let record = try volume.mount.record(of: made.id)
        #expect(record.permissions == 0o4755)
        #expect(record.kind == .regular)
        #expect(record.userID == 0)
        #expect(record.groupID == 9)
        #expect(record.accessTime == time(-7))
        #expect(record.modificationTime == time(3))
        #expect(record.changeTime == time(2_000))
        #expect(throws: Errno.stale) {
            try volume.mount.setAttributes(of: InodeID(999), RecordChange(userID: 1))
        }
        #expect(try volume.inode(InodeID(999)).isEmpty)
    }
}
