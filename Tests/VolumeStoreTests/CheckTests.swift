import Codecs
import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import VolumeStore

/// Each kind of damage is planted, found, mended, and not there afterwards.
@Suite struct CheckTests {
    /// A small tree: `a` = `b` (two blocks, an attribute), `d/f` (a block), `d/e/` and `s -> a`.
    struct Tree {
        let volume: TestVolume
        let a: InodeRecord
        let d: InodeRecord
        let e: InodeRecord
        let f: InodeRecord
        let s: InodeRecord

        var schema: Schema { volume.mount.schema }

        init(codec: Codec = .none) throws {
            volume = try TestVolume { $0.codec = codec }
            let mount = volume.mount
            a = try volume.file("a")
            d = try volume.directory("d")
            e = try volume.directory("e", in: d.id)
            f = try volume.file("f", in: d.id)
            try volume.write(a, String(repeating: "some text. ", count: 500))
            try volume.write(f, String(repeating: "f", count: 4_096))
            _ = try mount.link(a.id, in: .root, name: .name("b"), time: time(20))
            try mount.setXattr(
                a.id, name: .name("user.x"), value: [1], mode: .create, time: time(21))
            s = try mount.create(
                in: .root, name: .name("s"),
                NewInode(
                    kind: .symbolicLink, permissions: 0o777, target: .name("a"), time: time(30)))
        }

        func set(_ key: Bytes, _ field: String, _ value: String) throws {
            try change(.setFields(key: key, [Pair(.name(field), .name(value))]))
        }

        func change(_ mutations: Mutation...) throws {
            _ = try volume.store.commit(Batch(mutations: mutations))
        }

        func check(repairs: Bool = false, readsData: Bool = false, memoryBytes: Int = 1 << 20)
            throws -> CheckReport
        {
            var options = CheckOptions()
            options.repairs = repairs
            options.readsData = readsData
            options.memoryBytes = memoryBytes
            return try VolumeCheck(
                volume.store, name: TestVolume.name, options: options, logger: quietLogger
            ).run()
        }

        /// Makes `f` a sparse file with a block far behind the others, in chunk 48.
        func makeSparse() throws {
            let memory = BlockMemory(4_096, filledWith: 7)
            let change = BlockChange(
                address: BlockAddress(data: f.data, index: BlockIndex(200_000)),
                ranges: [0..<4_096], memory: UnsafeRawBufferPointer(memory.bytes),
                isWholeKnown: true, contentEnd: 4_096, form: .absent)
            _ = try withExtendedLifetime(memory) {
                try volume.mount.store(
                    [change], of: f.id,
                    then: SizeCommit(inode: f.id, data: f.data, size: 200_001 * 4_096))
            }
        }

        func block(_ data: DataID, _ index: UInt64) -> Bytes {
            schema.block(BlockAddress(data: data, index: BlockIndex(index)))
        }
    }

    struct Damage: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let kind: CheckKind
        /// Whether mending it takes everything away that was found.
        var isMendable = true
        let plant: @Sendable (Tree) throws -> Void

        init(
            _ kind: CheckKind, _ name: String, isMendable: Bool = true,
            _ plant: @escaping @Sendable (Tree) throws -> Void
        ) {
            self.kind = kind
            testDescription = "\(kind.rawValue): \(name)"
            self.isMendable = isMendable
            self.plant = plant
        }
    }

    static let damages: [Damage] = [
        Damage(.unreadableInode, "a size below zero") {
            try $0.set($0.schema.inode($0.a.id), "s", "-1")
        },
        Damage(.unreadableInode, "a field that no inode has") {
            try $0.set($0.schema.inode($0.d.id), "?", "1")
        },
        Damage(.unreadableInode, "no mode") {
            try $0.change(.deleteFields(key: $0.schema.inode($0.f.id), [Field.mode]))
        },
        Damage(.unreadableInode, "a string") {
            try $0.change(.set(key: $0.schema.inode($0.f.id), value: [1]))
        },
        Damage(.unreadableInode, "a link that is a string") {
            try $0.change(.set(key: $0.schema.inode($0.s.id), value: [1]))
        },
        Damage(.unreadableInode, "a link without a target") {
            try $0.change(.deleteFields(key: $0.schema.inode($0.s.id), [Field.target]))
        },
        Damage(.unreadableEntry, "no value") {
            try $0.set($0.schema.directory($0.d.id), "f", "x")
        },
        Damage(.unreadableEntry, "a name with a slash") {
            try $0.set($0.schema.directory(.root), "x/y", "\($0.a.id):f")
        },
        Damage(.wrongKindOfKey, "a directory that is a string") {
            try $0.change(.set(key: $0.schema.directory($0.d.id), value: [1]))
        },
        Damage(.danglingEntry, "a name of nothing") {
            try $0.set($0.schema.directory(.root), "gone", "4000:f")
        },
        Damage(.danglingEntry, "a directory of nothing") {
            try $0.set($0.schema.directory($0.d.id), "gone", "4000:d")
        },
        Damage(.danglingEntry, "a file whose blocks are there") {
            try $0.change(.delete(key: $0.schema.inode($0.f.id)))
        },
        Damage(.wrongEntryType, "a file said to be a directory") {
            try $0.set($0.schema.directory(.root), "a", "\($0.a.id):d")
        },
        Damage(.orphan, "a file") {
            try $0.change(.deleteFields(key: $0.schema.directory($0.d.id), [.name("f")]))
        },
        Damage(.orphan, "a directory with files") {
            try $0.change(.deleteFields(key: $0.schema.directory(.root), [.name("d")]))
        },
        Damage(.wrongLinkCount, "of a file") { try $0.set($0.schema.inode($0.a.id), "n", "7") },
        Damage(.wrongLinkCount, "of a directory") {
            try $0.set($0.schema.inode($0.d.id), "n", "2")
        },
        Damage(.wrongLinkCount, "a nameless file that has a name") {
            try $0.change(
                .setFields(
                    key: $0.schema.inode($0.f.id),
                    [Pair(Field.links, [0x30]), Pair(Field.nameless, Field.one)]))
        },
        Damage(.wrongParent, "a directory that says another") {
            try $0.set($0.schema.inode($0.e.id), "p", "1")
        },
        Damage(.surplusDirectoryName, "two names of one") {
            try $0.set($0.schema.directory(.root), "second", "\($0.e.id):d")
        },
        Damage(.surplusDirectoryName, "a name of the root") {
            try $0.set($0.schema.directory($0.e.id), "up", "1:d")
        },
        Damage(.directoryCycle, "two directories in each other") {
            try $0.change(.deleteFields(key: $0.schema.directory(.root), [.name("d")]))
            try $0.set($0.schema.directory($0.e.id), "loop", "\($0.d.id):d")
            try $0.set($0.schema.inode($0.d.id), "p", "\($0.e.id)")
        },
        Damage(.directoryWithoutInode, "its record is gone") {
            try $0.change(.delete(key: $0.schema.inode($0.d.id)))
        },
        Damage(.attributesWithoutInode, "attributes of nothing") {
            try $0.set($0.schema.xattrs(InodeID(900)), "user.x", "1")
        },
        Damage(.hiddenAttributes, "attributes without x") {
            try $0.change(.deleteFields(key: $0.schema.inode($0.a.id), [Field.hasXattrs]))
        },
        Damage(.allocTooLow, "a block above l") {
            try $0.change(
                .set(
                    key: $0.block($0.a.data, 90), value: BlockFrame.raw(epoch: 0).header.bytes),
                .setFields(key: $0.schema.inode($0.a.id), [Pair(Field.size, .name("400000"))]))
        },
        Damage(.blocksBehindEnd, "blocks behind the size", isMendable: false) {
            $0.volume.mount.close()
            try $0.set($0.schema.inode($0.a.id), "s", "10")
        },
        Damage(.sharedData, "two inodes of one data", isMendable: false) {
            try $0.set($0.schema.inode($0.f.id), "d", "\($0.a.data)")
        },
        Damage(.leakedBlocks, "blocks of nothing") {
            try $0.change(
                .set(key: $0.block(DataID(7_000), 3), value: BlockFrame.raw(epoch: 0).header.bytes))
        },
        Damage(.leakedChunks, "chunks of nothing") {
            try $0.set($0.schema.chunks(DataID(7_000)), "0", "1")
        },
        Damage(.unreadableChunks, "a chunk that is no number") {
            try $0.makeSparse()
            try $0.set($0.schema.chunks($0.f.data), "junk", "1")
        },
        Damage(.unregisteredChunk, "a block in a chunk that is not there") {
            try $0.makeSparse()
            try $0.change(.delete(key: $0.schema.chunks($0.f.data)))
        },
        Damage(.wrongKindOfKey, "chunks that are a string") {
            try $0.makeSparse()
            try $0.change(.set(key: $0.schema.chunks($0.f.data), value: [1]))
        },
        Damage(.leakedNamelessInode, "a file that nobody holds") {
            try $0.change(
                .deleteFields(key: $0.schema.directory($0.d.id), [.name("f")]),
                .setFields(
                    key: $0.schema.inode($0.f.id),
                    [Pair(Field.links, [0x30]), Pair(Field.nameless, Field.one)]))
        },
        Damage(.lowIdentifier, "numbers that would come again") {
            try $0.set($0.schema.volume, "ni", "2")
        },
        Damage(.wrongInodeCounter, "too many") { try $0.set($0.schema.volume, "inodes", "77") },
        Damage(.wrongCounter, "no number") { try $0.set($0.schema.volume, "blocks", "many") },
        Damage(.badBlock, "a block that is none") {
            try $0.change(.set(key: $0.block($0.f.data, 0), value: .name("no frame at all here")))
        },
        Damage(.badBlock, "a block of another kind") {
            try $0.change(.delete(key: $0.block($0.a.data, 1)))
            try $0.set($0.block($0.a.data, 1), "x", "1")
        },
        Damage(.malformedGarbage, "a member that is none") {
            try $0.change(.addMember(key: $0.schema.garbage, Member(.name("junk"), score: 1)))
        },
        Damage(.malformedMember, "a session that is none") {
            try $0.change(.addMember(key: $0.schema.sessions, Member(.name("junk"), score: 1)))
        },
        Damage(.wrongKindOfKey, "garbage that is a string") {
            try $0.change(.set(key: $0.schema.garbage, value: [1]))
        },
        Damage(.unknownKey, "a key of no kind", isMendable: false) {
            try $0.change(.set(key: $0.schema.volume + [0x71], value: [1]))
        },
        Damage(.expiredSession, "a mount that died") {
            try $0.change(
                .setFields(key: $0.schema.session(SessionID(1_000)), [Pair(Field.host, [0x68])]),
                .addMember(key: $0.schema.sessions, Member(.name("1000"), score: 1)),
                .raise(key: $0.schema.volume, field: Field.nextSession, to: 1_000))
        },
        Damage(.leftSession, "a session on no list") {
            try $0.set($0.schema.session(SessionID(1)), "host", "x")
            try $0.change(
                .setFields(key: $0.schema.session(SessionID(1_000)), [Pair(Field.host, [0x68])]),
                .raise(key: $0.schema.volume, field: Field.nextSession, to: 1_000))
        },
        Damage(.leftOrphanList, "a list of no session") {
            try $0.set($0.schema.orphans(SessionID(1_000)), "5000", "1")
            try $0.change(.raise(key: $0.schema.volume, field: Field.nextSession, to: 1_000))
        },
        Damage(.leftLocks, "locks of nothing") {
            try $0.set($0.schema.volume + .name("l4000"), "x", "1")
        },
        Damage(.leftLocks, "locks of a session that is gone") {
            let holder = LockTable.Held(
                owner: LockOwner(session: SessionID(77), family: .record, number: 1),
                mode: .exclusive, range: 0...9, processID: 1)
            var table = LockTable()
            table.take(holder)
            try $0.change(.set(key: $0.schema.locks($0.a.id), value: table.stored))
        },
        Damage(.unreadableLocks, "no table") {
            try $0.change(.set(key: $0.schema.locks($0.a.id), value: [0xFF, 1]))
        },
        Damage(.wrongKindOfKey, "locks that are a hash") {
            try $0.set($0.schema.locks($0.a.id), "x", "1")
        },
        Damage(.wrongKindOfKey, "a list of locked inodes that is a string") {
            let session = $0.volume.mount.sessionID
            try $0.change(.set(key: $0.schema.lockedInodes(session), value: [1]))
        },
        Damage(.wrongBlockCount, "k is off") { try $0.set($0.schema.inode($0.a.id), "k", "1") },
        Damage(.wrongBlockCounter, "blocks is off") {
            try $0.set($0.schema.volume, "blocks", "55")
        },
    ]

    @Test func `every kind of finding has a test that plants it`() {
        #expect(Set(Self.damages.map(\.kind)) == Set(CheckKind.allCases))
    }

    @Test(arguments: damages)
    func `damage is found, mended, and gone`(_ damage: Damage) throws {
        let tree = try Tree()
        #expect(try tree.check(readsData: true).findings == [])
        try damage.plant(tree)

        let found = try tree.check(readsData: true)
        #expect(found.findings.map(\.kind).contains(damage.kind), "\(found.findings)")
        #expect(found.findings.allSatisfy { $0.outcome == .found })
        if damage.kind.isDamage { #expect(!found.isClean) }
        let again = try tree.check(readsData: true)
        #expect(Set(again.findings) == Set(found.findings), "looking changes nothing")

        let mended = try tree.check(repairs: true, readsData: true)
        guard damage.isMendable else { return }
        #expect(mended.isClean, "\(mended.findings)")
        #expect(mended.mended > 0)
        let after = try tree.check(readsData: true)
        #expect(after.findings == [])
    }

    @Test func `a volume that is intact has no findings, mounted and not`() throws {
        let tree = try Tree(codec: .lz4)
        let report = try tree.check(readsData: true)
        #expect(report.findings == [])
        #expect(report.inodes == 6)
        #expect(report.directories == 3)
        #expect(report.entries == 6)
        #expect(report.blocks == 3)
        #expect(report.readBytes == 5_500 + 4_096)
        tree.volume.mount.close()
        #expect(try tree.check(readsData: true).findings == [])
        // As many walks as a small memory asks for, with the same outcome.
        let small = try tree.check(memoryBytes: 100)
        #expect(small.passes == 6)
        #expect(small.findings == [])
        #expect(small.inodes == 6)
    }

    @Test func `an orphan gets a name in lost+found, with its content`() throws {
        let tree = try Tree()
        try tree.change(.deleteFields(key: tree.schema.directory(tree.d.id), [.name("f")]))
        #expect(try tree.check(repairs: true).isClean)
        tree.volume.mount.known.forgetAll()
        let refuge = try tree.volume.mount.lookup(parent: .root, name: .name("lost+found"))
        #expect(refuge.permissions == 0o700)
        let found = try tree.volume.mount.lookup(
            parent: refuge.id, name: .name("#\(tree.f.id)"))
        #expect(found.id == tree.f.id)
        #expect(try tree.volume.read(found.data, 0) == Bytes(repeating: 0x66, count: 4_096))
    }

    @Test func `a file that lost its record keeps its blocks and its name`() throws {
        let tree = try Tree()
        try tree.change(.delete(key: tree.schema.inode(tree.f.id)))
        #expect(try tree.check(repairs: true).isClean)
        let found = try tree.volume.mount.lookup(parent: tree.d.id, name: .name("f"))
        #expect(found.size == 4_096)
        #expect(try tree.volume.read(found.data, 0) == Bytes(repeating: 0x66, count: 4_096))
    }

    @Test func `what mounts do meanwhile is no damage`() throws {
        let tree = try Tree()
        let isOver = Locked(false)
        let volume = tree.volume
        let worker = TestThread(name: "churn") { [mount = volume.mount, root = tree.d.id] in
            var round = 0
            while !isOver.withLock({ $0 }) {
                round += 1
                do throws(Errno) {
                    let name = Bytes.name("n\(round % 7)")
                    let made = try mount.create(in: root, name: name, .file(at: 100))
                    _ = try mount.rename(
                        from: (root, name, made), to: (.root, .name("m"), nil), flags: [],
                        isOpen: { _ in false }, time: time(200))
                    _ = try mount.unlink(
                        parent: .root, name: .name("m"), believed: nil, isOpen: { _ in false },
                        time: time(300))
                } catch {
                    Issue.record("the mount failed: \(error)")
                    return
                }
            }
        }
        for repairs in [false, true, true] {
            let report = try tree.check(repairs: repairs)
            #expect(report.findings.filter(\.kind.isDamage) == [])
        }
        isOver.withLock { $0 = true }
        worker.join()
        let quiet = try tree.check()
        #expect(quiet.isClean, "\(quiet.findings)")
    }

    @Test func `a damaged superblock is refused`() throws {
        let tree = try Tree()
        try tree.set(tree.schema.volume, "block", "17")
        #expect(throws: VolumeError.damaged("block is no block size")) { try tree.check() }
    }

    @Test func `garbage is shown, and collected`() throws {
        let tree = try Tree()
        try tree.change(
            .addMember(
                key: tree.schema.garbage,
                Member(GarbageItem.blocks(DataID(700), 0..<3).stored, score: 1)))
        try tree.change(
            .set(key: tree.block(DataID(700), 1), value: BlockFrame.raw(epoch: 0).header.bytes))
        let report = try VolumeStore.garbage(tree.volume.store, name: TestVolume.name)
        #expect(report.members == 1)
        #expect(report.due == 1)
        #expect(report.blocks == 3)
        #expect(try tree.check().isClean)
        #expect(try tree.volume.mount.collectGarbage() == 1)
        #expect(try tree.volume.garbage() == [])
        #expect(try tree.volume.blockKeys(of: DataID(700), 1..<2) == [false])
    }
}
