import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct RecordTests {
    static let file: [(String, String)] = [
        ("m", "33188"), ("n", "1"), ("a", "-5"), ("t", "6"), ("c", "7"), ("d", "9"),
    ]

    static func parse(_ fields: [(String, String)]) throws -> InodeRecord {
        try InodeRecord(
            parsing: fields.map { Pair(Bytes($0.0.utf8), Bytes($0.1.utf8)) }, id: InodeID(9))
    }

    static func changed(_ field: String, _ value: String?) -> [(String, String)] {
        file.filter { $0.0 != field } + (value.map { [(field, $0)] } ?? [])
    }

    @Test func `fields that are left out have their defaults`() throws {
        let record = try Self.parse(Self.file)
        #expect(
            record
                == InodeRecord(
                    id: InodeID(9), kind: .regular, permissions: 0o644, accessTime: time(-5),
                    modificationTime: time(6), changeTime: time(7), data: DataID(9)))
        #expect(!record.hasStaleTail)
    }

    @Test(arguments: [
        ("s", "9223372036854775807"), ("l", "77"), ("u", "4294967295"), ("g", "0"), ("x", "1"),
        ("j", "1"), ("j", "2"), ("j", "3:17"), ("e", "4"), ("b", "3"), ("k", "-4"),
        ("o", "none"), ("o", "zlib:9"),
    ])
    func `a record with this field is read`(_ field: (String, String)) throws {
        _ = try Self.parse(Self.changed(field.0, field.1))
    }

    @Test(arguments: [
        ("m", nil), ("m", "420"), ("m", "65536"), ("m", "0100644"), ("m", "x"), ("n", nil),
        ("n", "-1"), ("n", "4294967296"), ("n", "0"), ("s", "-1"), ("s", "9223372036854775808"),
        ("s", "01"), ("s", ""), ("s", " 1"), ("a", nil), ("t", nil), ("c", nil), ("c", "1.5"),
        ("d", nil), ("d", "0"), ("l", "99999999999999999999"), ("l", "9223372036854775807"),
        ("f", "1"), ("p", "1"), ("y", "target"), ("j", "0"), ("j", "2:1"), ("j", "1:"),
        ("j", "1:2:3"), ("x", "0"), ("z", "1"), ("q", "1"), ("o", "zlib:0"), ("o", ""), ("mm", "1"),
        ("", "1"),
    ])
    func `a record with this field is refused`(_ field: (String, String?)) {
        #expect(throws: FormatError.self) { try Self.parse(Self.changed(field.0, field.1)) }
    }

    @Test func `what only files have is refused elsewhere`() throws {
        let directory = [
            ("m", "16877"), ("n", "2"), ("a", "1"), ("t", "1"), ("c", "1"), ("p", "1"),
        ]
        #expect(throws: Never.self) { try Self.parse(directory) }
        for field in [("s", "1"), ("d", "3"), ("l", "1"), ("j", "1"), ("y", "t")] {
            #expect(throws: FormatError.self) { try Self.parse(directory + [field]) }
        }
        #expect(throws: FormatError.self) { try Self.parse(directory.dropLast()) }
        let link = [("m", "41471"), ("n", "1"), ("a", "1"), ("t", "1"), ("c", "1")]
        #expect(throws: FormatError.self) { try Self.parse(link) }
        #expect(throws: FormatError.self) {
            try Self.parse(link + [("y", String(repeating: "t", count: 4_096))])
        }
        let longest = String(repeating: "t", count: 4_095)
        #expect(try Self.parse(link + [("y", longest)]).size == 4_095)
    }

    @Test(arguments: FileKind.allCases)
    func `what is written is read again`(_ kind: FileKind) throws {
        let record = InodeRecord(
            id: InodeID(9), kind: kind, permissions: 0o7777, userID: 1, groupID: 2, linkCount: 3,
            size: kind == .symbolicLink ? 2 : kind == .regular ? 5 : 0, accessTime: time(.min),
            modificationTime: time(.max), changeTime: time(0),
            device: kind == .blockDevice || kind == .characterDevice ? 0x801 : 0,
            data: DataID(kind == .regular ? 9 : 0), allocatedBlocks: kind == .regular ? 4 : 0,
            birthEpoch: 6, parent: InodeID(kind == .directory ? 8 : 0),
            target: kind == .symbolicLink ? [0xFF, 0x2F] : [],
            extender: SessionID(kind == .regular ? 3 : 0))
        #expect(try InodeRecord(parsing: record.storedFields, id: record.id) == record)
    }

    @Test(arguments: FileKind.allCases)
    func `an entry is read as it was written`(_ kind: FileKind) throws {
        let entry = EntryValue(inode: InodeID(1 << 53), kind: kind)
        #expect(try EntryValue(parsing: entry.stored) == entry)
    }

    @Test(arguments: ["", ":f", "1f", "1:", "0:f", "01:f", "-1:f", "1:g", "1:ff", "x:f", "1:f "])
    func `an entry that is none is refused`(_ text: String) {
        #expect(throws: FormatError.self) { try EntryValue(parsing: Bytes(text.utf8)) }
    }

    @Test(arguments: [
        GarbageItem.blocks(DataID(7), 0..<1), .blocks(DataID(1 << 53), 5..<1 << 40),
        .chunks(DataID(3)), .inode(InodeID(4)),
    ])
    func `a member of the garbage list is read as it was written`(_ item: GarbageItem) throws {
        #expect(try GarbageItem(parsing: item.stored) == item)
    }

    @Test(arguments: ["", "d", "d1", "d1:2", "d1:2:2", "d0:0:1", "d1:3:2", "d1:0:1:2", "i0", "q1"])
    func `a member of the garbage list that is none is refused`(_ text: String) {
        #expect(throws: FormatError.self) { try GarbageItem(parsing: Bytes(text.utf8)) }
    }
}
