import KeyValue
import Testing

@testable import KeyspaceFS

@Suite struct KnownKeysTests {
    private static let naming: KeyspaceNaming = {
        var options = KeyspaceOptions()
        options.prefix = Bytes("a:".utf8)
        return KeyspaceNaming(options)
    }()

    private func tree(_ keys: [String], limit: Int = 1 << 20) -> KeyTree {
        var tree = KeyTree(naming: Self.naming, limitBytes: limit)
        for key in keys { tree.add(Bytes(key.utf8)) }
        return tree
    }

    /// All that is in a directory, in pages of two.
    private func contents(_ tree: KeyTree, _ prefix: String) -> (keys: [String], below: [String]) {
        let prefix = Bytes(prefix.utf8)
        var keys: [String] = []
        var below: [String] = []
        var position: KeyTree.Position? = tree.beginning(of: prefix)
        while let next = position {
            let page = tree.page(of: prefix, from: next, count: 2)
            keys += page.keys.map { String(decoding: $0, as: UTF8.self) }
            below += page.directories.map { String(decoding: $0, as: UTF8.self) }
            position = page.next
        }
        return (keys.sorted(), below.sorted())
    }

    @Test func `a directory has its keys and its directories, each of them once`() {
        let tree = tree(["a:x", "a:b:1", "a:b:c:2", "a:b:2", "a:", "a:b", "a::", "a:y:z:w"])
        #expect(contents(tree, "a:") == (["a:", "a:b", "a:x"], ["a::", "a:b:", "a:y:"]))
        #expect(contents(tree, "a:b:") == (["a:b:1", "a:b:2"], ["a:b:c:"]))
        #expect(contents(tree, "a:b:c:") == (["a:b:c:2"], []))
        #expect(contents(tree, "a:y:") == ([], ["a:y:z:"]))
        #expect(contents(tree, "a::") == (["a::"], []))
        #expect(contents(tree, "a:none:") == ([], []))
    }

    @Test func `a directory is there while one of its keys was not changed`() {
        let tree = tree(["a:b:1", "a:b:c:2", "a:b:c:3"])
        func first(_ prefix: String, _ changed: String...) -> Bool {
            tree.firstKey(
                below: Bytes(prefix.utf8), without: Set(changed.map { Bytes($0.utf8) })) != nil
        }
        #expect(first("a:") && first("a:b:") && first("a:b:c:"))
        #expect(first("a:b:c:", "a:b:c:2") && first("a:", "a:b:1", "a:b:c:3"))
        #expect(!first("a:b:c:", "a:b:c:2", "a:b:c:3"))
        #expect(first("a:b:", "a:b:c:2", "a:b:c:3"))
        #expect(!first("a:", "a:b:1", "a:b:c:2", "a:b:c:3") && !first("a:x:"))
    }

    @Test func `a tree that is full holds nothing and says so`() {
        let full = tree((0..<1_000).map { "a:\($0)" }, limit: 1_000)
        #expect(full.isOverfull && full.byteCount == 0)
        #expect(full.firstKey(below: Bytes("a:".utf8), without: []) == nil)
    }

    @Test func `changes count from the beginning of the look, up to a limit`() {
        let known = KnownKeys()
        func key(_ number: Int) -> Bytes { Bytes("a:\(number)".utf8) }
        known.note(key(1))
        #expect(known.snapshot == nil)
        known.begin()
        known.note(key(2))
        known.end(tree(["a:2", "a:3"]))
        known.note(key(3))
        #expect(known.snapshot?.changed == [key(2), key(3)])
        #expect(known.snapshot?.changed(below: Bytes("a:".utf8)).count == 2)
        for number in 0...KnownKeys.changedLimit { known.note(key(number)) }
        #expect(known.snapshot == nil && known.isWornOut)
        // What was forgotten meanwhile is of no use, nor is what did not fit.
        known.begin()
        #expect(!known.isWornOut)
        known.forgetAll()
        known.note(key(1))
        known.end(tree(["a:1"]))
        #expect(known.snapshot == nil)
        known.begin()
        known.end(tree(["a:1", "a:2"], limit: 1))
        #expect(known.snapshot == nil && !known.isWornOut)
    }
}
