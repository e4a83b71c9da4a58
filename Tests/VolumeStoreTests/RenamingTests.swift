import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import VolumeStore

@Suite struct RenamingTests {
    private func rename(
        _ mount: VolumeStore, _ from: (InodeID, String), _ to: (InodeID, String),
        believed: (InodeRecord?, InodeRecord?) = (nil, nil), flags: RenameFlags = [],
        isOpen: Bool = false, at nanoseconds: Int64 = 80
    ) throws -> RenameOutcome {
        try mount.rename(
            from: (from.0, Bytes(from.1.utf8), believed.0),
            to: (to.0, Bytes(to.1.utf8), believed.1), flags: flags, isOpen: { _ in isOpen },
            time: time(nanoseconds))
    }

    private func names(_ volume: TestVolume, _ directory: InodeID) throws -> [String: String] {
        try volume.hash(volume.mount.schema.directory(directory))
    }

    @Test func `a rename of what is known is one trip, also to another directory`()
        throws
    {
        let volume = try TestVolume()
        let directory = try volume.directory("d")
        let file = try volume.file("a")
        #expect(
            try volume.trips {
                _ = try rename(volume.mount, (.root, "a"), (.root, "b"), believed: (file, nil))
            } == 1)
        #expect(
            try volume.trips {
                _ = try rename(
                    volume.mount, (.root, "b"), (directory.id, "c"), believed: (file, nil))
            } == 1)
        let sub = try volume.directory("s")
        #expect(
            try volume.trips {
                _ = try rename(
                    volume.mount, (.root, "s"), (directory.id, "s"), believed: (sub, nil))
            } == 1)
        #expect(try names(volume, directory.id) == ["c": "\(file.id):f", "s": "\(sub.id):d"])
    }

    @Test func `a directory that moves takes its link along and learns its new parent`()
        throws
    {
        let volume = try TestVolume()
        let old = try volume.directory("old")
        let new = try volume.directory("new")
        let moved = try volume.directory("m", in: old.id)
        let outcome = try rename(volume.mount, (old.id, "m"), (new.id, "n"), at: 90)
        #expect(outcome.moved.id == moved.id)
        #expect(outcome.moved.parent == new.id)
        #expect(try volume.inode(old.id)["n"] == "2")
        #expect(try volume.inode(new.id)["n"] == "3")
        #expect(try volume.inode(moved.id)["p"] == "\(new.id)")
        #expect(try volume.inode(moved.id)["c"] == "90")
        #expect(try volume.inode(old.id)["t"] == "90")
        #expect(try volume.inode(new.id)["c"] == "90")
        #expect(try volume.inode(.root)["n"] == "4")
    }

    @Test func `what stood under the new name loses it`() throws {
        let volume = try TestVolume()
        let first = try volume.file("a")
        let second = try volume.file("b")
        try volume.write(second, "old content")
        let outcome = try rename(volume.mount, (.root, "a"), (.root, "b"))
        #expect(outcome.replaced?.inode == second.id)
        #expect(outcome.replaced?.linkCount == 0)
        #expect(try names(volume, .root) == ["b": "\(first.id):f"])
        #expect(try volume.inode(second.id).isEmpty)
        let third = try volume.file("c")
        let open = try rename(volume.mount, (.root, "b"), (.root, "c"), isOpen: true)
        #expect(open.replaced?.isOrphan == true)
        #expect(try volume.inode(third.id)["z"] == "1")
        volume.mount.removeOrphan(third.id)
        _ = try volume.mount.unlink(
            parent: .root, name: .name("c"), believed: nil, isOpen: { _ in false }, time: time(1))
        try volume.expectEmptyAfterClose()
    }

    @Test func `a directory replaces an empty directory only`() throws {
        let volume = try TestVolume()
        _ = try volume.file("f")
        let source = try volume.directory("a")
        let target = try volume.directory("b")
        _ = try volume.file("in", in: target.id)
        #expect(throws: Errno.directoryNotEmpty) {
            try rename(volume.mount, (.root, "a"), (.root, "b"))
        }
        #expect(throws: Errno.directoryNotEmpty) {
            try rename(volume.mount, (.root, "a"), (.root, "b"), believed: (source, target))
        }
        #expect(throws: Errno.notDirectory) {
            try rename(volume.mount, (.root, "a"), (.root, "f"))
        }
        #expect(throws: Errno.isDirectory) {
            try rename(volume.mount, (.root, "f"), (.root, "a"))
        }
        _ = try rename(volume.mount, (target.id, "in"), (.root, "out"))
        let outcome = try rename(volume.mount, (.root, "a"), (.root, "b"))
        #expect(outcome.replaced?.inode == target.id)
        #expect(try volume.inode(.root)["n"] == "3")
        #expect(try volume.mount.statistics().inodes == 4)
    }

    @Test func `a replaced directory's link is not counted twice across parents`() throws {
        let volume = try TestVolume()
        let left = try volume.directory("l")
        let right = try volume.directory("r")
        _ = try volume.directory("x", in: left.id)
        _ = try volume.directory("x", in: right.id)
        _ = try rename(volume.mount, (left.id, "x"), (right.id, "x"))
        #expect(try volume.inode(left.id)["n"] == "2")
        #expect(try volume.inode(right.id)["n"] == "3")
    }

    @Test func `flags are kept to`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        let directory = try volume.directory("d")
        let inner = try volume.directory("i", in: directory.id)
        #expect(throws: Errno.exists) {
            try rename(volume.mount, (.root, "a"), (.root, "d"), flags: .noReplace)
        }
        #expect(throws: Errno.noEntry) {
            try rename(volume.mount, (.root, "a"), (.root, "x"), flags: .exchange)
        }
        #expect(throws: Errno.invalid) {
            try rename(volume.mount, (.root, "a"), (.root, "x"), flags: .whiteout)
        }
        let outcome = try rename(
            volume.mount, (.root, "a"), (directory.id, "i"), flags: .exchange)
        #expect(outcome.exchanged?.id == inner.id)
        #expect(outcome.exchanged?.parent == .root)
        #expect(try names(volume, .root) == ["a": "\(inner.id):d", "d": "\(directory.id):d"])
        #expect(try names(volume, directory.id) == ["i": "\(file.id):f"])
        #expect(try volume.inode(.root)["n"] == "4")
        #expect(try volume.inode(directory.id)["n"] == "2")
        #expect(try volume.inode(inner.id)["p"] == "1")
        // A directory and its own ancestor cannot change places.
        let deep = try volume.directory("deep", in: inner.id)
        #expect(throws: Errno.invalid) {
            try rename(volume.mount, (inner.id, "deep"), (.root, "a"), flags: .exchange)
        }
        #expect(try volume.inode(deep.id)["p"] == "\(inner.id)")
    }

    @Test func `two names of one inode: nothing is done`() throws {
        let volume = try TestVolume()
        let file = try volume.file("a")
        _ = try volume.mount.link(file.id, in: .root, name: .name("b"), time: time(1))
        let outcome = try rename(volume.mount, (.root, "a"), (.root, "b"))
        #expect(outcome.isNoOp)
        for believed in [file, nil] {
            #expect(throws: Errno.exists) {
                try rename(
                    volume.mount, (.root, "a"), (.root, "b"), believed: (believed, believed),
                    flags: .noReplace)
            }
        }
        #expect(try names(volume, .root).count == 2)
    }

    @Test func `a directory never comes below itself`() throws {
        let volume = try TestVolume()
        let a = try volume.directory("a")
        let b = try volume.directory("b", in: a.id)
        let c = try volume.directory("c", in: b.id)
        for target in [a.id, b.id, c.id] {
            #expect(throws: Errno.invalid) {
                try rename(volume.mount, (.root, "a"), (target, "x"))
            }
        }
        _ = try rename(volume.mount, (b.id, "c"), (.root, "c"))
        _ = try rename(volume.mount, (.root, "a"), (c.id, "a"))
        #expect(try volume.inode(a.id)["p"] == "\(c.id)")
    }

    @Test func `of two opposite moves by two mounts one is refused, in whatever order they meet`()
        throws
    {
        let faulty = try TestStores.make()
        let volume = try TestVolume(over: faulty)
        let second = try TestVolume.mount(faulty.base, volume.settings)
        defer { second.close() }
        let a = try volume.directory("a")
        let b = try volume.directory("b")
        _ = try second.records(of: [a.id, b.id])
        // Just before the first mount's batch arrives, the second one moves b below a.
        faulty.beforeNext(.commit) {
            _ = try? second.rename(
                from: (.root, .name("b"), b), to: (a.id, .name("b"), nil), flags: [],
                isOpen: { _ in false }, time: time(5))
        }
        #expect(throws: Errno.invalid) {
            try rename(volume.mount, (.root, "a"), (b.id, "a"), believed: (a, nil))
        }
        #expect(try volume.inode(b.id)["p"] == "\(a.id)")
        #expect(try names(volume, .root) == ["a": "\(a.id):d"])
        // What the second mount believes of a is old now.
        _ = try rename(volume.mount, (a.id, "b"), (.root, "b"))
        _ = try rename(volume.mount, (.root, "a"), (b.id, "a"))
        #expect(throws: Errno.invalid) {
            try rename(second, (.root, "b"), (a.id, "b"), believed: (b, nil))
        }
    }

    @Test func `random moves by two mounts at once never make a cycle or lose a directory`() throws
    {
        let volume = try TestVolume()
        let second = try volume.second()
        defer { second.close() }
        let count = 6
        var directories = [InodeID.root]
        for index in 0..<count {
            directories.append(try volume.directory("d\(index)").id)
        }
        let all = directories
        let threads = [volume.mount, second].enumerated().map { number, mount in
            TestThread(name: "mover") {
                var random = SeededRandom(seed: UInt64(number) + 77)
                for _ in 0..<300 {
                    let moved = Int(random.next() % UInt64(count))
                    guard let record = try? mount.record(of: all[moved + 1]) else { continue }
                    let target = all[Int(random.next() % UInt64(all.count))]
                    _ = try? mount.rename(
                        from: (record.parent, .name("d\(moved)"), record),
                        to: (target, .name("d\(moved)"), nil), flags: .noReplace,
                        isOpen: { _ in false }, time: time(1))
                }
            }
        }
        for thread in threads { thread.join() }
        // Each directory is reached from the root exactly once, and link counts are right.
        var reached: [InodeID] = []
        var stack = [InodeID.root]
        while let directory = stack.popLast() {
            reached.append(directory)
            let page = try volume.mount.page(of: directory)
            #expect(page.entries.allSatisfy { $0.record?.parent == directory })
            #expect(
                try volume.inode(directory)["n"] == "\(page.entries.count + 2)")
            stack += page.entries.map(\.inode)
            try #require(reached.count <= all.count, "a cycle")
        }
        #expect(Set(reached) == Set(all))
    }
}
