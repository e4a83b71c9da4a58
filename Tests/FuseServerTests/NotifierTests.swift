import FileSystem
import Foundation
import Primitives
import TestSupport
import Testing

@testable import FuseServer

@Suite struct InvalidationQueueTests {
    private static let a = InodeID(10)
    private static let b = InodeID(11)

    /// A queue behind a reference, because `#expect` takes no mutating call.
    private final class Queue {
        var value: InvalidationQueue

        init(capacity: Int, epochs: Bool = false) {
            value = InvalidationQueue(capacity: capacity)
            value.canInvalidateAllEntries = epochs
        }

        var count: Int { value.count }
        func add(inode: InodeID, pages: Range<UInt64>) -> Bool {
            value.add(inode: inode, pages: pages)
        }
        func add(entryOf parent: InodeID, name: [UInt8]) -> Bool {
            value.add(entryOf: parent, name: name)
        }
        func add(inode: InodeID, end: UInt64) {
            value.add(inode: inode, end: end, lastByte: UInt8(truncatingIfNeeded: end))
        }
        func addOfRequest(inode: InodeID, pages: Range<UInt64>) -> Bool {
            value.add(inode: inode, pages: pages, isOfRequest: true)
        }
        func addAllEntries() -> Bool { value.addAllEntries() }
        func next() -> InvalidationQueue.Notification? { value.next() }
    }

    private func drained(_ queue: Queue) -> [InvalidationQueue.Notification] {
        var all: [InvalidationQueue.Notification] = []
        while let next = queue.next() { all.append(next) }
        return all
    }

    @Test func `notifications leave in the order in which they came`() {
        let queue = Queue(capacity: 10)
        #expect(queue.add(inode: Self.a, pages: 0..<0))
        #expect(queue.add(entryOf: Self.a, name: [1]))
        #expect(queue.add(inode: Self.b, pages: 5..<9))
        #expect(
            drained(queue) == [
                .attributes(Self.a), .entry(parent: Self.a, name: [1]), .pages(Self.b, 5..<9),
            ])
    }

    @Test func `what waits already is not added twice, and ranges grow to cover both`() {
        let queue = Queue(capacity: 10)
        #expect(queue.add(inode: Self.a, pages: 4..<6))
        #expect(queue.add(inode: Self.a, pages: 0..<0))
        #expect(queue.add(inode: Self.a, pages: 8..<9))
        #expect(queue.add(entryOf: Self.b, name: [1]))
        #expect(queue.add(entryOf: Self.b, name: [1]))
        #expect(queue.count == 2)
        #expect(drained(queue) == [.pages(Self.a, 4..<9), .entry(parent: Self.b, name: [1])])
    }

    @Test func `an end is told behind the pages before it, and not when others come behind it`() {
        let queue = Queue(capacity: 1)
        #expect(queue.add(inode: Self.a, pages: 0..<9))
        queue.add(inode: Self.a, end: 12)
        queue.add(inode: Self.a, end: 7)
        queue.add(inode: Self.b, end: 3)
        #expect(
            drained(queue) == [
                .pages(Self.a, 0..<9), .attributes(Self.a), .end(Self.a, end: 7, lastByte: 7),
                .end(Self.b, end: 3, lastByte: 3),
            ])
        queue.add(inode: Self.a, end: 5)
        #expect(!queue.add(inode: Self.a, pages: 4..<6))
        #expect(queue.addOfRequest(inode: Self.a, pages: 4..<6))
        #expect(drained(queue) == [.attributes(Self.a), .pages(Self.a, 4..<6)])
    }

    @Test func `what was taken can be added again`() {
        let queue = Queue(capacity: 2)
        for _ in 0..<100 {
            #expect(queue.add(entryOf: Self.a, name: [1]))
            #expect(queue.add(inode: Self.a, pages: 0..<1))
            #expect(queue.next() == .entry(parent: Self.a, name: [1]))
            #expect(queue.next() == .pages(Self.a, 0..<1))
            #expect(queue.next() == nil)
        }
    }

    @Test func `entries that do not fit become one epoch and their directories`() {
        let queue = Queue(capacity: 4, epochs: true)
        #expect(queue.add(inode: Self.b, pages: 0..<7))
        for name in 1...3 { #expect(queue.add(entryOf: Self.a, name: [UInt8(name)])) }
        #expect(queue.add(entryOf: Self.b, name: [9]))
        #expect(
            drained(queue) == [.pages(Self.b, 0..<7), .allEntries, .attributes(Self.a)])
    }

    @Test func `a full queue of inodes, or a kernel without epochs, makes the caller wait`() {
        let queue = Queue(capacity: 2)
        #expect(queue.add(entryOf: Self.a, name: [1]))
        #expect(queue.add(entryOf: Self.a, name: [2]))
        #expect(!queue.add(entryOf: Self.a, name: [3]))
        _ = queue.next()
        #expect(queue.add(entryOf: Self.a, name: [3]))

        let inodes = Queue(capacity: 2, epochs: true)
        #expect(inodes.add(inode: Self.a, pages: 0..<0))
        #expect(inodes.add(inode: Self.b, pages: 0..<0))
        #expect(!inodes.add(inode: InodeID(12), pages: 0..<0))
        #expect(inodes.add(inode: Self.b, pages: 0..<3), "it waits already")
        #expect(inodes.count == 2)
    }

    @Test func `it never holds more than its capacity`() {
        let queue = Queue(capacity: 8, epochs: true)
        var generator = SystemRandomNumberGenerator()
        for step in 0..<5_000 {
            let inode = InodeID(UInt64(generator.next() % 6))
            switch generator.next() % 4 {
            case 0: _ = queue.add(inode: inode, pages: 0..<UInt64(step))
            case 1: _ = queue.add(entryOf: inode, name: [UInt8(truncatingIfNeeded: step)])
            case 2: _ = queue.addAllEntries()
            default: _ = queue.next()
            }
            #expect(queue.count <= 8)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct NotifierTests {
    private func withCachingMount(_ body: (TestMount, any KernelNotifier) throws -> Void) throws {
        let files = MemoryFileSystem()
        files.configure {
            $0.entryTimeout = 3_600
            $0.attributesTimeout = 3_600
            $0.negativeTimeout = 3_600
            $0.configureOpen = { $0.keepsCache = true }
        }
        try withMount(files) { try body($0, #require(files.notifier)) }
    }

    /// Looks again until the kernel shows what it was told. Each look is a system call.
    private func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Deadline.after(milliseconds: 20_000)
        while !deadline.hasPassed {
            if try condition() { return true }
            sched_yield()
        }
        return false
    }

    @Test func `an invalidated entry is looked up again`() throws {
        try withCachingMount { mount, notifier in
            mount.files.plant("file")
            let path = mount.path + "/file"
            _ = try Call.status(path)
            mount.files.vanish("file")
            _ = try Call.status(path)
            notifier.invalidateEntry(parent: .root, name: Array("file".utf8))
            #expect(eventually { Call.failure { _ = try Call.status(path) } == .noEntry })
        }
    }

    @Test func `an invalidated missing name is looked up again`() throws {
        try withCachingMount { mount, notifier in
            let path = mount.path + "/file"
            #expect(Call.failure { _ = try Call.status(path) } == .noEntry)
            mount.files.plant("file")
            #expect(Call.failure { _ = try Call.status(path) } == .noEntry)
            notifier.invalidateEntry(parent: .root, name: Array("file".utf8))
            #expect(eventually { Call.failure { _ = try Call.status(path) } == nil })
        }
    }

    @Test func `invalidated attributes are asked for again, cached pages stay`() throws {
        try withCachingMount { mount, notifier in
            let inode = mount.files.plant("file", data: [1, 2, 3])
            let path = mount.path + "/file"
            try #expect(Call.contents(path) == [1, 2, 3])
            // A read makes the kernel doubt the access time: ask once more.
            _ = try Call.status(path)
            mount.files.change(inode) { node in
                node.attributes.permissions = 0o600
                node.data = [7, 8, 9]
            }
            try #expect(Call.status(path).st_mode == 0o100644)
            notifier.invalidateInode(inode, range: nil)
            try #expect(eventually { try Call.status(path).st_mode == 0o100600 })
            try #expect(Call.contents(path) == [1, 2, 3])
        }
    }

    @Test func `invalidated pages are read again, others stay`() throws {
        try withCachingMount { mount, notifier in
            let inode = mount.files.plant("file", data: [UInt8](repeating: 1, count: 8_192))
            let path = mount.path + "/file"
            _ = try Call.contents(path)
            mount.files.change(inode) { $0.data = [UInt8](repeating: 2, count: 8_192) }
            notifier.invalidateInode(inode, range: 4_096..<8_192)
            try #expect(eventually { try Call.contents(path)[4_096] == 2 })
            let contents = try Call.contents(path)
            #expect(contents[4_095] == 1)
            #expect(contents[8_191] == 2)
            notifier.invalidateInode(inode, range: 0..<UInt64.max)
            try #expect(eventually { try Call.contents(path)[0] == 2 })
        }
    }

    @Test func `one message makes the kernel doubt every entry`() throws {
        try withCachingMount { mount, notifier in
            guard try #require(mount.server.negotiated).canInvalidateAllEntries else {
                #expect(!notifier.invalidateAllEntries())
                return
            }
            for index in 0..<20 { mount.files.plant("file-\(index)") }
            for index in 0..<20 { _ = try Call.status(mount.path + "/file-\(index)") }
            for index in 0..<20 { mount.files.vanish("file-\(index)") }
            #expect(notifier.invalidateAllEntries())
            for index in 0..<20 {
                let path = mount.path + "/file-\(index)"
                #expect(eventually { Call.failure { _ = try Call.status(path) } == .noEntry })
            }
        }
    }

    @Test func `a notification for a request's own directory does not hold the request up`() throws
    {
        try withCachingMount { mount, notifier in
            // While a create waits in the filesystem the kernel holds the directory's lock, so the
            // notifier waits in the kernel; calls of it return all the same.
            mount.files.configure { $0.held = ["create"] }
            let path = mount.path
            let creator = TestThread(name: "creator") {
                do { try Call.create(path + "/new") } catch { Issue.record(error) }
            }
            #expect(mount.files.wait { $0.record.heldCount["create"] == 1 })
            for index in 0..<1_000 {
                notifier.invalidateEntry(parent: .root, name: Array("gone-\(index)".utf8))
                notifier.invalidateInode(.root, range: nil)
            }
            mount.files.configure { $0.held = [] }
            creator.join()
            try #expect(Call.list(path).contains("new"))
        }
    }

    @Test func `an open is answered after what waits for its inode has been sent`() throws {
        try withCachingMount { mount, notifier in
            let names = (0..<4).map { "file-\($0)" }
            let inodes = names.map { mount.files.plant($0, data: [1]) }
            // One in the lane of the root's entries.
            let number = try #require(inodes.firstIndex { $0.rawValue % 2 == 1 })
            let path = mount.path + "/" + names[number]
            _ = try Call.status(path)
            mount.files.configure { $0.held = ["create"] }
            let creator = TestThread(name: "creator") {
                do { try Call.create(mount.path + "/new") } catch { Issue.record(error) }
            }
            #expect(mount.files.wait { $0.record.heldCount["create"] == 1 })
            // Waits in the kernel for the directory, and the other one behind it.
            notifier.invalidateEntry(parent: .root, name: Array("gone".utf8))
            notifier.invalidateInode(inodes[number], range: nil)
            let isOpen = Monitor(false)
            let opener = TestThread(name: "opener") {
                do { _ = try Call.contents(path) } catch { Issue.record(error) }
                isOpen.change { $0 = true }
            }
            let early: Void? = isOpen.wait(until: .after(milliseconds: 200)) { $0 ? () : nil }
            #expect(early == nil)
            mount.files.configure { $0.held = [] }
            creator.join()
            opener.join()
        }
    }

    @Test func `after the end notifications are dropped`() throws {
        let mount = try TestMount()
        let notifier = try #require(mount.files.notifier)
        try mount.stop()
        notifier.invalidateInode(.root, range: nil)
        notifier.invalidateEntry(parent: .root, name: [1])
        #expect(!notifier.invalidateAllEntries())
    }
}
