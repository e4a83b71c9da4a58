import CLinux
import Foundation
import FuseServer
import Primitives
import Testing

@Suite(.serialized, .timeLimit(.minutes(2))) struct LifeTests {
    @Test func `requestStop ends serve, leaves no mount and tells the filesystem`() throws {
        let mount = try TestMount()
        #expect(mount.isMounted)
        #expect(try Call.list(mount.path) == [".", ".."])
        try mount.stop()
        #expect(!mount.isMounted)
        #expect(mount.files.record.isUnmounted)
    }

    @Test func `umount(8) ends serve`() throws {
        let mount = try TestMount()
        #expect(apusfs_umount(mount.path, 0) == 0)
        try mount.waitForEnd()
        #expect(!mount.isMounted)
        #expect(mount.files.record.isUnmounted)
    }
}
