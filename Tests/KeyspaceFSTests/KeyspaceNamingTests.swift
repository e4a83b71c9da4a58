import KeyValue
import TestSupport
import Testing

@testable import KeyspaceFS

@Suite struct KeyspaceNamingTests {
    private func bytes(_ text: String) -> Bytes { Bytes(text.utf8) }

    private func naming(
        _ change: (inout KeyspaceOptions) -> Void = { _ in }
    ) -> KeyspaceNaming {
        var options = KeyspaceOptions()
        change(&options)
        return KeyspaceNaming(options)
    }

    private func place(_ prefix: String) -> DirectoryPlace { DirectoryPlace(prefix: bytes(prefix)) }

    @Test func `a name with a dot is a key or a field, cut at the first dot`() {
        let meaning = naming().meaning(of: bytes("a.b.c"), in: place("p:"))
        #expect(meaning.key == bytes("p:a.b.c"))
        #expect(meaning.field == .init(key: bytes("p:a"), field: bytes("b.c")))
        #expect(meaning.directory == place("p:a.b.c:"))
    }

    @Test func `a dot at the beginning belongs to the key`() {
        let meaning = naming().meaning(of: bytes(".x.y"), in: place(""))
        #expect(meaning.field == .init(key: bytes(".x"), field: bytes("y")))
        #expect(naming().meaning(of: bytes(".x"), in: place("")).field == nil)
    }

    @Test(arguments: ["a", "a.b", ".", "..", ".a", "", "a%value", "a/b", "x%2Ey"])
    func `the name of a field leads back to it, whatever key and field hold`(text: String) throws {
        let naming = naming()
        for field in ["f", "", ".", "..", "a.b", "a:b", "a/b", "%value", "%empty", "x%3Ay"] {
            for isDirectory in [false, true] {
                let name = naming.name(
                    of: bytes(field), ofHash: bytes("p:" + text), in: bytes("p:"),
                    isAlsoDirectory: isDirectory)
                let meaning = naming.meaning(of: name, in: place("p:"))
                #expect(meaning.field?.key == bytes("p:" + text))
                #expect(meaning.field?.field == bytes(field))
                #expect(meaning.isItself == isDirectory)
            }
        }
    }

    @Test(arguments: ["a", "a.b", ".a.b", "", "a%value", "a.b.c", "%2E"])
    func `the name of a key that gives way leads back to it and to nothing else`(text: String) {
        let naming = naming()
        let name = naming.name(
            of: bytes("p:" + text), in: bytes("p:"), isRivalled: true, isAlsoDirectory: true)
        let meaning = naming.meaning(of: name, in: place("p:"))
        #expect(meaning.key == bytes("p:" + text))
        #expect(meaning.field == nil)
        #expect(meaning.directory == nil)
    }

    @Test func `keys below the deepest level keep their separators`() {
        let naming = naming { $0.depth = 1 }
        #expect(naming.home(of: bytes("a:b:c")) == bytes("a:"))
        #expect(naming.appearance(of: bytes("a:b:c"), in: bytes("a:")) == .here)
        #expect(naming.plainName(of: bytes("a:b:c"), in: bytes("a:")) == bytes("b:c"))
        #expect(naming.meaning(of: bytes("b:c"), in: place("a:")).key == bytes("a:b:c"))
        #expect(naming.meaning(of: bytes("b"), in: place("a:")).directory == nil)
    }

    @Test func `directories of a key are those of its parts`() {
        let naming = naming { $0.prefix = bytes("v:") }
        var numbers: [UInt64] = []
        var lengths: [Int] = []
        naming.forEachDirectory(of: bytes("v:a:b:c")) { number, length in
            numbers.append(number)
            lengths.append(length)
        }
        #expect(lengths == [4, 6])
        #expect(numbers == [Fingerprint.of(bytes("v:a:")), Fingerprint.of(bytes("v:a:b:"))])
        #expect(naming.home(of: bytes("v:a:b:c")) == bytes("v:a:b:"))
        #expect(
            naming.parent(of: .directory(place("v:a:b:"))) == .directory(place("v:a:")))
        #expect(naming.parent(of: .directory(place("v:a:"))) == naming.root)
        #expect(naming.parent(of: naming.root) == nil)
    }

    @Test(arguments: [250, 255, 256, 500, 1_000, 3_000])
    func `a long name is cut into directories that lead back to it`(count: Int) throws {
        let naming = naming()
        var random = SeededRandom(seed: UInt64(count))
        let key = bytes("p:") + (0..<count).map { _ in bytes("ab/%\0")[random.below(5)] }
        let name = naming.plainName(of: key, in: bytes("p:"))
        var directory = place("p:")
        var pieces = 0
        while true {
            let piece = try #require(naming.piece(of: name, behind: directory.pending))
            pieces += 1
            switch piece {
            case .more(let part):
                #expect(part.count <= 255)
                let meaning = naming.meaning(of: part, in: directory)
                guard case .directory(let next)? = meaning.continuation else {
                    Issue.record("no directory goes on")
                    return
                }
                // Each leads back to the one above.
                #expect(naming.parent(of: .directory(next)) == .directory(directory))
                directory = next
                continue
            case .last(let part):
                #expect(part.count <= 255)
                #expect(naming.meaning(of: part, in: directory).key == key)
            }
            break
        }
        #expect(pieces == 1 || name.count > 255)
        #expect(naming.piece(of: name, behind: Bytes(name.prefix(7))) == nil)
    }

    @Test func `only keys of the prefix and the pattern are shown`() {
        let naming = naming {
            $0.prefix = bytes("a:")
            $0.pattern = bytes("*x")
        }
        #expect(naming.shows(bytes("a:1x")))
        #expect(!naming.shows(bytes("a:1")))
        #expect(!naming.shows(bytes("b:x")))
    }

    @Test func `the name of the updater belongs to no key`() {
        let naming = naming()
        #expect(naming.meaning(of: bytes(".updater"), in: place("")).isUpdater)
        #expect(!naming.meaning(of: bytes(".updater"), in: place("p:")).isUpdater)
        let name = naming.name(of: bytes(".updater"), in: [])
        #expect(naming.meaning(of: name, in: place("")).key == bytes(".updater"))
    }

    @Test(arguments: [
        ("user:*", "user:1", true), ("user:*", "use:1", false), ("*", "", true), ("?", "", false),
        ("a?c", "abc", true), ("a[b-d]e", "ace", true), ("a[^b-d]e", "ace", false),
        ("a[d-b]e", "ace", true), ("\\*", "*", true), ("\\*", "x", false), ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXcYb", false), ("[\\]]", "]", true), ("h*llo", "heeeello", true),
        ("[abc", "c", true),
    ])
    func `patterns are those of Redis`(pattern: String, text: String, matches: Bool) {
        #expect(Glob.matches(bytes(text), bytes(pattern)) == matches)
    }
}
