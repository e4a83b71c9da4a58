import KeyValue
import Primitives
import TestSupport
import Testing

@testable import FileSystem
@testable import KeyspaceFS

@Suite struct KeyInodeTableTests {
    private let root = Place.directory(DirectoryPlace(prefix: []))

    private func place(_ name: String) -> Place { .value(key: Bytes(name.utf8)) }

    @Test func `a number stays that of its place while others come and go`() {
        let table = KeyInodeTable(root: root)
        let old = table.refer(to: place("a"))
        // An editor moves the old file away and makes a new one.
        table.move(old, to: place("a~"))
        let new = table.refer(to: place("a"))
        #expect(new.id != old.id)
        table.forget(old.id, count: 1)
        table.forget(new.id, count: 1)
        #expect(table.number(of: place("a")) == new.id)
        #expect(table.number(of: place("a~")) == old.id)
        #expect(table.refer(to: place("a")).id == new.id)
        #expect(table.refer(to: place("a~")).id == old.id)
    }

    @Test func `what took the place of something that was removed is another file`() {
        let table = KeyInodeTable(root: root)
        let old = table.refer(to: place("a"))
        table.detach(old, orphan: nil)
        let new = table.refer(to: place("a"))
        #expect(new.id != old.id)
        table.forget(old.id, count: 1)
        table.forget(new.id, count: 1)
        #expect(table.refer(to: place("a")).id == new.id)
    }

    @Test func `what the kernel forgets while it is renamed does not come back as nothing`() throws
    {
        let table = KeyInodeTable(root: root)
        let file = table.refer(to: place("a"))
        table.forget(file.id, count: 1)
        table.move(file, to: place("b"))
        #expect(table.known(place("b")) == nil)
        // By the number that it had, and answered from now on.
        let again = table.refer(to: place("b"))
        #expect(again.id == file.id)
        #expect(try table.inode(again.id) === again)
        #expect(table.number(of: place("a")) != again.id)
        table.forget(again.id, count: 1)
        #expect(throws: Errno.stale) { try table.inode(again.id) }
        #expect(table.count == 0)
    }

    @Test func `numbers are remembered for so many places and no more`() {
        let table = KeyInodeTable(root: root)
        for number in 0..<40_000 {
            let inode = table.refer(to: place("\(number)"))
            table.move(inode, to: place("moved \(number)"))
            table.forget(inode.id, count: 1)
        }
        #expect(table.unusualCount <= 16_384)
        let last = place("39999").fingerprint
        #expect(table.number(of: place("moved 39999")).rawValue == last)
    }
}
