import Codecs
import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct FormatTests {
    @Test func `an empty volume is two keys`() throws {
        let store = MemoryStore()
        var options = FormatOptions(
            name: TestVolume.name, blockSize: .standard, codec: .zlib(level: 3))
        options.userID = 5
        options.groupID = 6
        let settings = try VolumeStore.format(store, options, force: false)
        #expect(Set(store.allKeys()) == [Bytes("{test}".utf8), Bytes("{test}i1".utf8)])
        #expect(try VolumeStore.readSettings(store, name: TestVolume.name) == settings)
        #expect(settings.codec == .zlib(level: 3))
        #expect(settings.blockSize.bytes == 126_976)
        #expect(VolumeUUID.isValid(settings.uuid))
        let fields = try TestVolume(over: MemoryStore()).inode(.root)
        #expect(Set(fields.keys) == ["m", "n", "a", "t", "c", "p"])
        #expect(fields["n"] == "2")
    }

    @Test func `a volume is not formatted twice, and not found before`() throws {
        let store = MemoryStore()
        let options = FormatOptions(name: TestVolume.name)
        #expect(throws: VolumeError.notFormatted(TestVolume.name)) {
            try VolumeStore.readSettings(store, name: TestVolume.name)
        }
        let first = try VolumeStore.format(store, options, force: false)
        #expect(throws: VolumeError.alreadyFormatted(TestVolume.name)) {
            try VolumeStore.format(store, options, force: false)
        }
        #expect(try VolumeStore.readSettings(store, name: TestVolume.name) == first)
    }

    static let damage: [(name: String, value: String?, error: VolumeError)] = [
        ("format", "2", VolumeError.newerFormat(found: 2, supported: 1)),
        ("format", "x", .damaged("format is no version")),
        ("format", nil, .damaged("format is missing")),
        ("uuid", "x", .damaged("uuid is no UUID")), ("uuid", nil, .damaged("uuid is no UUID")),
        ("block", "4097", .damaged("block is no block size")),
        ("block", "18446744073709551615", .damaged("block is no block size")),
        ("block", "0", .damaged("block is no block size")),
        ("codec", "zstd", .damaged("codec is no codec")),
        ("codec", nil, .damaged("codec is no codec")),
        ("threshold", "-1", .damaged("threshold is no number of bytes")),
        ("created", "", .damaged("created is no time")),
        ("epoch", "99999999999", .damaged("epoch is no epoch")),
    ]

    @Test(arguments: damage)
    func `a superblock that cannot be right is refused, and stays`(
        _ field: (name: String, value: String?, error: VolumeError)
    ) throws {
        let store = MemoryStore()
        _ = try VolumeStore.format(store, FormatOptions(name: TestVolume.name), force: false)
        let key = Bytes("{test}".utf8)
        let mutation: Mutation =
            field.value.map { .setFields(key: key, [Pair(Bytes(field.name.utf8), Bytes($0.utf8))]) }
            ?? .deleteFields(key: key, [Bytes(field.name.utf8)])
        _ = try store.commit(Batch(mutations: [mutation]))
        let before = try store.read([.allFields(key: key)])
        #expect(throws: field.error) {
            try VolumeStore.readSettings(store, name: TestVolume.name)
        }
        #expect(throws: field.error) {
            try VolumeStore.format(store, FormatOptions(name: TestVolume.name), force: false)
        }
        #expect(try store.read([.allFields(key: key)]) == before)
    }

    @Test func `a volume's key that is no hash is damage`() throws {
        let store = MemoryStore()
        _ = try store.commit(
            Batch(mutations: [.set(key: Bytes("{test}".utf8), value: [1])]))
        #expect(throws: VolumeError.damaged("{test} or {test}i1 is no hash")) {
            try VolumeStore.readSettings(store, name: TestVolume.name)
        }
    }

    @Test func `force removes everything of the old volume and nothing else`() throws {
        let store = MemoryStore()
        _ = try store.commit(Batch(mutations: [.set(key: Bytes("other".utf8), value: [1])]))
        let volume = try TestVolume(over: store)
        let directory = try volume.directory("d")
        let deeper = try volume.directory("e", in: directory.id)
        for parent in [InodeID.root, directory.id, deeper.id] {
            for index in 0..<7 {
                let file = try volume.file("f\(index)", in: parent)
                try volume.write(file, String(repeating: "x", count: 10_000))
                try volume.mount.setXattr(
                    file.id, name: .name("user.a"), value: [1], mode: .createOrReplace,
                    time: time(1))
            }
        }
        let linked = try volume.mount.lookup(parent: .root, name: .name("f1"))
        _ = try volume.mount.link(linked.id, in: deeper.id, name: .name("l"), time: time(1))
        let sparse = try volume.file("sparse")
        let memory = BlockMemory(4_096, filledWith: 1)
        _ = try volume.mount.store(
            [
                BlockChange(
                    address: BlockAddress(data: sparse.data, index: BlockIndex(1 << 40)),
                    ranges: [0..<9], memory: UnsafeRawBufferPointer(memory.bytes),
                    isWholeKnown: false, contentEnd: 9, form: .absent)
            ], of: sparse.id, then: nil)
        // An orphan, garbage, and a session that crashed.
        _ = try volume.mount.unlink(
            parent: .root, name: .name("f2"), believed: nil, isOpen: { _ in true }, time: time(1))
        let crashed = volume.mount.sessionID
        #expect(throws: VolumeError.inUse(TestVolume.name, sessions: 1)) {
            try VolumeStore.format(store, FormatOptions(name: TestVolume.name), force: true)
        }
        _ = try store.commit(
            Batch(mutations: [
                .addMember(
                    key: volume.mount.schema.garbage,
                    Member(GarbageItem.blocks(DataID(4_000), 0..<3).stored, score: 1 << 50)),
                .addMember(
                    key: volume.mount.schema.sessions,
                    Member(Bytes(decimal: crashed.rawValue), score: 1)),
            ]))
        let settings = try VolumeStore.format(
            store, FormatOptions(name: TestVolume.name), force: true)
        #expect(settings.uuid != volume.settings.uuid)
        #expect(
            Set(store.allKeys().map { String(decoding: $0, as: UTF8.self) })
                == ["{test}", "{test}i1", "other"])
    }

    @Test func `the codec can be changed for new blocks`() throws {
        let volume = try TestVolume()
        let old = try volume.file("old")
        try volume.write(old, String(repeating: "x", count: 4_096))
        let changed = try VolumeStore.setCodec(volume.store, name: TestVolume.name, codec: .lz4)
        #expect(changed.codec == .lz4)
        let next = try TestVolume.mount(
            volume.store, try VolumeStore.readSettings(volume.store, name: TestVolume.name))
        defer { next.close() }
        let new = try next.create(in: .root, name: .name("new"), .file())
        #expect(
            try volume.write(new, String(repeating: "x", count: 4_096), by: next).forms == [.packed]
        )
        #expect(try volume.read(old.data, 0, by: next) == Bytes(repeating: 120, count: 4_096))
        #expect(try volume.read(new.data, 0) == Bytes(repeating: 120, count: 4_096))
        #expect(throws: VolumeError.notFormatted(VolumeName("x")!)) {
            try VolumeStore.setCodec(volume.store, name: VolumeName("x")!, codec: .lz4)
        }
    }

    @Test(arguments: ["", "a/b", "a b", "ä", "{a}", String(repeating: "a", count: 65)])
    func `a volume is not called this`(_ text: String) {
        #expect(VolumeName(text) == nil)
    }

    @Test(arguments: ["a", "A-z_0.9", String(repeating: "a", count: 64)])
    func `a volume may be called this`(_ text: String) {
        #expect(VolumeName(text)?.text == text)
    }
}
