import FileSystem
import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct CreatingTests {
    @Test func `a new file has the fields that it was made with, and no more`() throws {
        let volume = try TestVolume()
        let record = try volume.file("a", at: 1_000)
        #expect(
            try volume.inode(record.id) == [
                "m": "33188", "u": "7", "g": "8", "n": "1", "a": "1000", "t": "1000", "c": "1000",
                "d": "\(record.id)", "l": "1", "e": "\(volume.mount.sessionID)",
            ])
        #expect(
            try volume.hash(volume.mount.schema.directory(.root)) == ["a": "\(record.id):f"])
        #expect(try volume.mount.lookup(parent: .root, name: .name("a")) == record)
    }

    @Test func `create, mkdir and lookup are one trip each`() throws {
        let volume = try TestVolume()
        #expect(try volume.trips { _ = try volume.file("a") } == 1)
        #expect(try volume.trips { _ = try volume.directory("d") } == 1)
        #expect(
            try volume.trips { _ = try volume.mount.lookup(parent: .root, name: .name("a")) } == 1)
    }
}
