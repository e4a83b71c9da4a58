import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct DirectoryTests {
    private static func planted(_ count: Int) -> (MemoryFileSystem, [String]) {
        let files = MemoryFileSystem()
        let names = (0..<count).map { index in
            "entry-\(index)-" + String(repeating: "x", count: index % 200)
        }
        for name in names { files.plant(name) }
        return (files, names)
    }

    @Test(arguments: [0, 1, 5_000]) func `a directory is listed completely, each entry once`(
        count: Int
    ) throws {
        let (files, names) = Self.planted(count)
        try withMount(files) { mount in
            try #expect(Call.list(mount.path) == [".", ".."] + names)
            let record = files.record
            #expect(record.calls["readdirplus", default: 0] > 0)
            if count == 5_000 {
                let requests =
                    record.calls["readdirplus", default: 0] + record.calls["readdir", default: 0]
                #expect(requests > 10, "more than one request's worth")
            }
        }
    }

    @Test func `attributes that came with a listing are not asked for again`() throws {
        let (files, names) = Self.planted(50)
        files.configure {
            $0.entryTimeout = 3_600
            $0.attributesTimeout = 3_600
        }
        try withMount(files) { mount in
            _ = try Call.list(mount.path)
            files.forgetRecord()
            for name in names { _ = try Call.status(mount.path + "/" + name) }
            #expect(files.record.calls["lookup"] == nil)
            #expect(files.record.calls["getattr", default: 0] <= 1, "the root's alone")
        }
    }

    @Test func `entries without attributes make no inode in the kernel`() throws {
        let (files, names) = Self.planted(50)
        files.configure { $0.hidesAttributes = true }
        try withMount(files) { mount in
            try #expect(Call.list(mount.path) == [".", ".."] + names)
            #expect(files.references.isEmpty)
        }
    }

    @Test func `an entry's kind and number are those of the inode`() throws {
        try withMount { mount in
            try Call.checked(mkdir(mount.path + "/dir", 0o755))
            try Call.create(mount.path + "/file")
            try Call.checked(symlink("x", mount.path + "/symbolic"))
            let directory = try #require(opendir(mount.path))
            defer { closedir(directory) }
            var kinds: [UInt8] = []
            while let entry = readdir(directory) {
                kinds.append(entry.pointee.d_type)
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if !name.hasPrefix(".") {
                    try #expect(Call.status(mount.path + "/" + name).st_ino == entry.pointee.d_ino)
                }
            }
            #expect(kinds == [4, 4, 4, 8, 10])
        }
    }

    @Test func `a name that no directory can hold is left out, and the rest is listed`() throws {
        let files = MemoryFileSystem()
        files.plant("before")
        files.plant("with/slash")
        files.plant("")
        files.plant("after")
        try withMount(files) { mount in
            try #expect(Call.list(mount.path) == [".", "..", "before", "after"])
            try Call.dropCaches(of: mount.path)
            #expect(
                files.wait { state in
                    state.nodes.allSatisfy { $0.key == .root || $0.value.kernelReferences == 0 }
                })
        }
    }

    @Test func `a listing continues behind the entry where it was left`() throws {
        let (files, names) = Self.planted(1_000)
        try withMount(files) { mount in
            let directory = try #require(opendir(mount.path))
            defer { closedir(directory) }
            for _ in 0..<700 { _ = readdir(directory) }
            let place = telldir(directory)
            let next = try #require(readdir(directory)).pointee.d_ino
            rewinddir(directory)
            _ = readdir(directory)
            seekdir(directory, place)
            let again = try #require(readdir(directory)).pointee.d_ino
            #expect(again == next)
            #expect(InodeID(UInt64(next)) == files.inode(named: names[698]))
        }
    }

    @Test func `an error before the first entry is the error of the listing`() throws {
        try withMount { mount in
            mount.files.configure {
                $0.failures["readdir"] = .ioError
                $0.failures["readdirplus"] = .ioError
            }
            #expect(Call.failure { _ = try Call.list(mount.path) } == .ioError)
        }
    }
}
