import FileSystem
import Foundation
import Primitives
import Synchronization
import Testing

@testable import FuseServer

@Suite(.serialized, .timeLimit(.minutes(1))) struct SpliceTests {
    @Test(arguments: [1, 4_095, 4_096, 100_000, 1_048_576, 5_000_001])
    func `bytes pass unchanged through pipes in both directions`(count: Int) throws {
        try withMount(configure: { $0.splice = true }) { mount in
            let path = mount.path + "/file"
            let bytes = FileTests.pattern(count)
            try Call.create(path, bytes)
            #expect(
                mount.files.inode(named: "file").map { inode in
                    mount.files.state.withLock { $0.nodes[inode]?.data == bytes }
                } == true)
            try Call.dropCaches(of: mount.path)
            for pieceBytes in [1_000_000, 4_096, 60_000] {
                mount.files.configure {
                    $0.pieceBytes = pieceBytes
                    $0.configureOpen = { $0.direct = true }
                }
                try #expect(Call.contents(path) == bytes)
            }
            #expect(mount.server.splicedRequests.load(ordering: .relaxed) > 0)
            if count >= 100_000 {
                #expect(mount.server.splicedReplies.load(ordering: .relaxed) > 0)
            }
        }
    }

    @Test func `every other operation works while splicing`() throws {
        try withMount(configure: { $0.splice = true }) { mount in
            let root = mount.path
            for index in 0..<500 { try Call.create(root + "/file-\(index)", [1, 2, 3]) }
            try #expect(Call.list(root).count == 502)
            try Call.setxattr(root + "/file-0", "user.a", [UInt8](repeating: 3, count: 60_000))
            try #expect(Call.getxattr(root + "/file-0", "user.a", room: 60_000).count == 60_000)
            mount.files.configure { $0.failures["write"] = .noSpace }
            #expect(
                Call.failure {
                    try Call.create(root + "/full", [UInt8](repeating: 1, count: 200_000))
                } == .noSpace)
            mount.files.configure { $0.failures = [:] }
            try Call.create(root + "/again", [UInt8](repeating: 1, count: 200_000))
            try #expect(Call.contents(root + "/again") == [UInt8](repeating: 1, count: 200_000))
        }
    }
}
