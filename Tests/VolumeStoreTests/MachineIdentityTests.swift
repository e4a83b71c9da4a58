import Foundation
import Testing

@testable import VolumeStore

@Suite struct MachineIdentityTests {
    @Test func `a process that has ended is gone, also before its parent has asked`() throws {
        #expect(!MachineIdentity.isGone(getpid(), machine: MachineIdentity.current))
        var child: pid_t = 0
        var words: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
        defer { free(words[0]) }
        #expect(posix_spawnp(&child, "true", nil, nil, &words, environ) == 0)
        let ended = child
        eventually("a child that has ended and is not waited for is gone") {
            MachineIdentity.isGone(ended, machine: MachineIdentity.current)
        }
        #expect(!MachineIdentity.isGone(ended, machine: "elsewhere"))
        #expect(kill(ended, 0) == 0, "it is a zombie until now")
        var status: Int32 = 0
        #expect(waitpid(ended, &status, 0) == ended)
        #expect(MachineIdentity.isGone(ended, machine: MachineIdentity.current))
    }
}
