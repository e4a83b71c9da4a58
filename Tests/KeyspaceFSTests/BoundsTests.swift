import Foundation
import Primitives
import TestSupport
import Testing

@testable import KeyspaceFS

/// What bounds the memory of a view, with limits that a test can reach, on a real mount.
@Suite(.serialized) struct BoundsTests {
    private static func fill(_ server: RedisServer, _ script: String) throws {
        try server.cli("EVAL", script, "0")
    }

    @Test func `the kernel is asked to forget names when it knows too many`() throws {
        let view = try ServedView(
            prepare: { try Self.fill($0, "for i = 1, 2000 do redis.call('SET', 'k' .. i, i) end") }
        ) { options in
            options.inodeLimit = 50
            options.entryTimeoutSeconds = 3_600
            options.attributeTimeoutSeconds = 3_600
        }
        let list = "stat -c '%n %s' k* | sort -u | wc -l | tr -d ' \\n'"
        #expect(try view.shell(list) == "2000")
        #expect(Polling.wait { view.fileSystem.inodes.count <= 50 })
        // Names that were forgotten are found again, and open files are not forgotten.
        let file = try #require(FileHandle(forReadingAtPath: view.path + "/k1234"))
        #expect(try view.shell(list) == "2000")
        #expect(Polling.wait { view.fileSystem.inodes.count <= 51 })
        #expect(try file.readToEnd() == Data("1234".utf8))
        try file.close()
    }

    @Test func `more keys than are kept are listed all the same`() throws {
        let view = try ServedView(
            prepare: { server in
                let script = """
                    for i = 1, 20 do
                      for j = 1, 30 do redis.call('SET', 'd' .. i .. ':' .. j .. ':k', j) end
                    end
                    """
                try Self.fill(server, script)
            }
        ) { options in
            options.keyBytes = 1_000
            options.isReadOnly = false
        }
        #expect(try view.shell("find . -type f | wc -l | tr -d ' \\n'") == "600")
        try view.shell("rm -r d7; ! rmdir d8/8; mkdir new; rmdir new")
        #expect(try view.shell("find . -type f | wc -l | tr -d ' \\n'") == "570")
        #expect(try view.redis.cli("DBSIZE") == "570")
    }

    @Test func `more directories than are kept are found all the same`() throws {
        let view = try ServedView(
            prepare: { server in
                let script = """
                    for i = 1, 100 do
                      for j = 1, 30 do redis.call('SET', 'd' .. i .. ':' .. j .. ':k', j) end
                    end
                    """
                try Self.fill(server, script)
            }
        ) { options in
            options.indexLimit = 8
            options.listingLimit = 8
            options.entryTimeoutSeconds = 0
            options.isReadOnly = false
        }
        #expect(try view.shell("ls | sort -u | wc -l | tr -d ' \\n'") == "100")
        for number in [1, 50, 100] {
            #expect(try view.shell("cat d\(number)/17/k") == "17")
            #expect(try view.shell("ls d\(number) | sort -u | wc -l | tr -d ' \\n'") == "30")
        }
        try view.shell("test ! -e d101; test ! -e d1/31; mkdir d101; rmdir d101; test ! -e d101")
        #expect(throws: (any Error).self) { try view.shell("rmdir d7/7") }
        try view.shell("rm -r d7; test ! -e d7")
        #expect(try view.redis.cli("DBSIZE") == "2970")
    }
}
