import Foundation
import TestSupport
import Testing

@testable import KeyspaceFS

/// What an unmount says of changes that could not be stored, on a real mount.
@Suite(.serialized) struct LossTests {
    @Test(arguments: [true, false])
    func `a loss is told once: by the call that failed, else by the unmount`(isSynced: Bool) throws
    {
        let view = try ServedView(prepare: { try $0.cli("SET", "k", "old") }) { options in
            options.isReadOnly = false
            options.flushIntervalMilliseconds = 60_000
        }
        let file = open(view.path + "/k", O_RDWR | O_CLOEXEC)
        try #require(file >= 0)
        defer { close(file) }
        // A program that is started closes its copy of the descriptor, which stores what was written.
        try view.redis.cli("SET", "k", "theirs")
        #expect(pwrite(file, "mine", 4, 0) == 4)
        if isSynced { #expect(fsync(file) == -1 && errno == ESTALE) }
        view.stop()
        #expect(view.fileSystem.lostFileCount == (isSynced ? 0 : 1))
        #expect(try view.redis.cli("GET", "k") == "theirs")
    }
}
