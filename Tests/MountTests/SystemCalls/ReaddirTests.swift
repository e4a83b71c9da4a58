import Glibc
import Primitives
import Testing

extension MountTests.SystemCallTests {
    @Suite struct ReaddirTests {
        let place: Place

        init() throws { place = try Mount.current.makePlace() }

        private func fill(_ count: Int) throws -> [String] {
            let names = (0..<count).map { "entry-\($0)" }
            for name in names { try SystemCall.writeFile(place[name]) }
            return names
        }

        @Test(arguments: [0, 1, 100, 2_500])
        func `every entry comes once, with its inode and kind`(count: Int) throws {
            let names = try fill(count)
            let entries = try Listing.entries(place.path)
            #expect(entries.map(\.name).sorted() == (names + [".", ".."]).sorted())
            for entry in entries where entry.name != ".." && entry.name != "." {
                #expect(entry.kind == UInt8(DT_REG))
                #expect(entry.inode == (try SystemCall.stat(place[entry.name]).st_ino))
            }
        }

        @Test func `dot and dot dot carry the inodes of the directory and its parent`() throws {
            try SystemCall.mkdir(place["below"])
            let entries = try Listing.entries(place["below"])
            let own = try SystemCall.stat(place["below"]).st_ino
            let parent = try SystemCall.stat(place.path).st_ino
            #expect(entries.first { $0.name == "." }?.inode == own)
            #expect(entries.first { $0.name == ".." }?.inode == parent)
        }

        @Test func `seekdir goes back to where telldir was, from anywhere`() throws {
            _ = try fill(500)
            let stream = try Listing.Stream(place.path)
            var positions: [(position: Int, name: String)] = []
            while true {
                let position = stream.position
                guard let entry = try stream.next() else { break }
                positions.append((position, entry.name))
            }
            #expect(positions.count == 502)
            for (position, name) in positions.shuffled().prefix(200) {
                stream.seek(position)
                #expect(try stream.next()?.name == name)
            }
            let (position, _) = positions[250]
            stream.seek(position)
            #expect(try stream.rest().map(\.name) == positions[250...].map(\.name))
        }

        @Test func `rewinddir sees what was made and removed since`() throws {
            _ = try fill(10)
            let stream = try Listing.Stream(place.path)
            #expect(try stream.rest().count == 12)
            try SystemCall.writeFile(place["late"])
            try SystemCall.unlink(place["entry-3"])
            stream.rewind()
            let names = try stream.rest().map(\.name)
            #expect(names.contains("late"))
            #expect(!names.contains("entry-3"))
            #expect(names.count == 12)
        }

        @Test func `entries that stay are listed once while others come and go`() throws {
            let kept = try fill(3_000)
            for index in 0..<500 { try SystemCall.writeFile(place["doomed-\(index)"]) }
            let stream = try Listing.Stream(place.path)
            var listed: [String] = []
            var round = 0
            while let entry = try stream.next() {
                listed.append(entry.name)
                if listed.count.isMultiple(of: 7), round < 500 {
                    try SystemCall.unlink(place["doomed-\(round)"])
                    try SystemCall.writeFile(place["born-\(round)"])
                    round += 1
                }
            }
            #expect(Set(listed).count == listed.count, "an entry was listed twice")
            #expect(Set(kept).subtracting(listed).isEmpty, "an entry that stayed was not listed")
        }

        @Test func `removing what readdir names empties the directory in one pass`() throws {
            _ = try fill(2_500)
            let stream = try Listing.Stream(place.path)
            while let entry = try stream.next() {
                if entry.name.hasPrefix("entry-") { try SystemCall.unlink(place[entry.name]) }
            }
            try SystemCall.rmdir(place.path)
        }

        @Test
        func `who may not read a directory lists nothing, who may only search it opens names`()
            throws
        {
            try SystemCall.writeFile(place["file"], "text")
            try SystemCall.chmod(place.path, 0o711)
            try Person.alice.run { () throws in
                #expect(throws: Errno.accessDenied) { try Listing.names(place.path) }
                #expect(try SystemCall.readFile(place["file"]) == Array("text".utf8))
            }
            try SystemCall.chmod(place.path, 0o744)
            try Person.alice.run { () throws in
                #expect(try Listing.names(place.path) == [".", "..", "file"])
                #expect(throws: Errno.accessDenied) { try SystemCall.stat(place["file"]) }
            }
        }
    }
}
