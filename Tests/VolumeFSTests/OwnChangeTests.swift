import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing
import VolumeStore

@testable import VolumeFS

/// What a change of this mount leads to is believed only when nothing else was heard or fetched meanwhile.
@Suite struct OwnChangeTests {
    private func storeLinkCount(
        _ count: UInt64, of inode: InodeID, _ harness: VolumeHarness
    ) throws {
        _ = try harness.keyValue.commit(
            Batch(mutations: [
                .setFields(
                    key: Bytes("{test}i\(inode)".utf8),
                    [Pair(Bytes("n".utf8), Bytes(decimal: count))])
            ]))
    }

    private func note(_ count: UInt32, _ change: OwnChange, _ volume: VolumeFileSystem) -> Bool {
        volume.endChange(change) { facts in
            facts.record.linkCount = count
            return true
        }
    }

    @Test func `what is known of the root stays, and of what the kernel forgot it goes`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        _ = try volume.list()
        #expect(volume.inodes.state(of: .root) != nil)
        let (inode, handle) = try volume.create("file")
        volume.forget(inode, count: 1)
        #expect(volume.inodes.state(of: inode) != nil, "it is open")
        try volume.close(inode, handle)
        #expect(volume.inodes.state(of: inode) == nil)
    }

    @Test func `undisturbed it is believed without asking the store`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("file")
        let change = harness.volume.beginChange(of: inode)
        #expect(note(2, change, harness.volume))
        var seen: UInt32 = 0
        let asking = try harness.keyValue.measure {
            seen = try harness.volume.attributes(inode).linkCount
        }
        #expect(seen == 2)
        #expect(asking.trips == 0)
        try harness.volume.close(inode, handle)
    }

    @Test func `a message that came before it was known here makes the store be asked`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let (inode, handle) = try harness.volume.create("file")
        let change = harness.volume.beginChange(of: inode)
        try storeLinkCount(1, of: inode, harness)
        harness.volume.apply(.attributes(inode))
        #expect(!note(2, change, harness.volume))
        #expect(try harness.volume.attributes(inode).linkCount == 1)
        try harness.volume.close(inode, handle)
    }

    @Test func `a link that was fetched before it was counted here is not counted twice`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        harness.volume.apply(.attributes(.root))
        let change = harness.volume.beginChange(of: .root)
        try storeLinkCount(3, of: .root, harness)
        #expect(try harness.volume.attributes(.root).linkCount == 3)
        harness.volume.endEntryChange(change, at: .now, addedLinks: 1)
        #expect(try harness.volume.attributes(.root).linkCount == 3)
    }

    @Test func `a name of which other mounts were heard meanwhile is looked up again`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        let name = Bytes("file".utf8)
        let undisturbed = volume.beginChange(of: .root)
        volume.noteEntry(undisturbed, name, inode)
        #expect(volume.entries.inode(parent: .root, name: name) == inode)
        let overtaken = volume.beginChange(of: .root)
        volume.apply(.entry(parent: .root, name: Bytes("other".utf8)))
        volume.noteEntry(overtaken, name, inode)
        #expect(volume.entries.inode(parent: .root, name: name) == nil)
        let lost = volume.beginChange(of: .root)
        volume.apply(.everything)
        volume.noteEntry(lost, name, inode)
        #expect(volume.entries.inode(parent: .root, name: name) == nil)
        try volume.close(inode, handle)
    }

    @Test func `changes of this mount beside each other leave both names known`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let first = volume.beginChange(of: .root)
        let (inode, handle) = try volume.create("file")
        volume.noteEntry(first, Bytes("first".utf8), inode)
        for name in ["file", "first"] {
            #expect(volume.entries.inode(parent: .root, name: Bytes(name.utf8)) == inode)
        }
        try volume.close(inode, handle)
    }
}
