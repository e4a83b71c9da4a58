import FileSystem
import Foundation
import FuseServer
import Primitives
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct ConcurrencyTests {
    @Test(arguments: [false, true])
    func `requests of several programs are handled at the same time`(
        clones: Bool
    ) throws {
        try withMount(configure: {
            $0.threads = 6
            $0.clonesDescriptors = clones
        }) { mount in
            mount.files.plant("file", data: [1])
            mount.files.configure { $0.held = ["open"] }
            let path = mount.path + "/file"
            let programs = (0..<6).map { _ in
                TestThread(name: "program") {
                    do { try #expect(Call.contents(path) == [1]) } catch { Issue.record(error) }
                }
            }
            #expect(mount.files.wait { $0.record.heldCount["open"] == 6 })
            mount.files.configure { $0.held = [] }
            programs.forEach { $0.join() }
        }
    }

    @Test func `lookups in one directory run at the same time`() throws {
        try withMount { mount in
            for index in 0..<4 { mount.files.plant("file-\(index)") }
            mount.files.configure { $0.held = ["lookup"] }
            let root = mount.path
            let programs = (0..<4).map { index in
                TestThread(name: "program") {
                    do { _ = try Call.status(root + "/file-\(index)") } catch {
                        Issue.record(error)
                    }
                }
            }
            #expect(mount.files.wait { $0.record.heldCount["lookup"] == 4 })
            mount.files.configure { $0.held = [] }
            programs.forEach { $0.join() }
        }
    }

    @Test func `programs that work side by side find what they wrote`() throws {
        try withMount { mount in
            let root = mount.path
            let programs = (0..<4).map { number in
                TestThread(name: "program") {
                    do {
                        for round in 0..<60 {
                            let path = root + "/file-\(number)-\(round)"
                            let bytes = FileTests.pattern(
                                round * 977, seed: UInt64(number * 1_000 + round))
                            try Call.create(path, bytes)
                            try #expect(Call.contents(path) == bytes)
                            try Call.rename(path, path + ".new")
                            try #expect(Call.status(path + ".new").st_size == bytes.count)
                            if round.isMultiple(of: 2) { try Call.checked(unlink(path + ".new")) }
                        }
                    } catch { Issue.record(error) }
                }
            }
            programs.forEach { $0.join() }
            try #expect(Call.list(root).count == 4 * 30 + 2)
            #expect(
                mount.files.wait { state in state.nodes.values.allSatisfy { $0.openHandles == 0 } })
        }
    }
}
