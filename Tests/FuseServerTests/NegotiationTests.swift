import Foundation
import Testing

@testable import FuseServer

@Suite struct NegotiationPolicyTests {
    @Test func `the answer never has a flag that the kernel did not offer`() {
        for offered: InitFlags in [[], [.abortError], [.parallelDirectoryOperations, .extended]] {
            let amended = NegotiationPolicy(splice: false).amended([], offered: offered)
            #expect(amended.isSubset(of: offered))
        }
    }

    @Test func `io_uring is taken up when there are rings`() {
        let offered: InitFlags = [.overIOUring, .abortError]
        #expect(NegotiationPolicy(splice: false).amended([], offered: offered) == [.abortError])
        #expect(
            NegotiationPolicy(splice: false, hasRings: true).amended([], offered: offered)
                == offered)
        #expect(
            NegotiationPolicy(splice: false, hasRings: true).amended([], offered: []) == [])
    }

    @Test func `what libfuse chose stays chosen`() {
        let chosen: InitFlags = [.asyncRead, .maxPages]
        let amended = NegotiationPolicy(splice: false).amended(
            chosen, offered: [.asyncRead, .maxPages, .abortError, .directIOAllowsMapping])
        #expect(amended == [.asyncRead, .maxPages, .abortError, .directIOAllowsMapping])
    }

    @Test func `the high flags travel in the second word`() {
        let flags: InitFlags = [.asyncRead, .directIOAllowsMapping]
        #expect(flags.low == 1)
        #expect(flags.high == 1 << 4)
        #expect(InitFlags(flags: flags.low, flags2: flags.high) == flags)
        #expect(flags.names == ["async-read", "direct-io-allow-mmap"])
    }
}

private final class ChangingFileSystem: MemoryFileSystem, @unchecked Sendable {
    override var mayChangeElsewhere: Bool { true }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct NegotiationTests {
    private static let wanted: InitFlags = [
        .asyncRead, .atomicTruncate, .bigWrites, .maxPages, .extended,
        .explicitInvalidateData, .readdirPlus, .readdirPlusAuto, .cacheSymlinks,
        .parallelDirectoryOperations, .abortError, .handleKillPrivileges2, .directIOAllowsMapping,
        .posixACL, .dontMask, .overIOUring,
    ]

    @Test func `the kernel gets exactly the flags of docs FUSE md that it offered`() throws {
        try withMount { mount in
            let negotiated = try #require(mount.server.negotiated)
            #expect(negotiated.accepted.names == Self.wanted.intersection(negotiated.offered).names)
            #expect(negotiated.maxWriteBytes == 1 << 20)
            #expect(negotiated.maxPages == 256)
            #expect(negotiated.maxBackground == 64)
            #expect(negotiated.congestionThreshold == 48)
            #expect(!negotiated.splice)
        }
    }

    @Test func `pages go with a size that others have changed`() throws {
        try withMount(ChangingFileSystem()) { mount in
            let negotiated = try #require(mount.server.negotiated)
            let wanted = Self.wanted.subtracting(.explicitInvalidateData)
            #expect(
                negotiated.accepted.names == wanted.intersection(negotiated.offered).names)
        }
    }

    @Test func `handles are exported when that is asked for`() throws {
        try withMount(configure: { $0.exportsHandles = true }) { mount in
            let negotiated = try #require(mount.server.negotiated)
            let wanted = Self.wanted.union(.exportSupport).intersection(negotiated.offered)
            #expect(negotiated.accepted.names == wanted.names)
        }
    }

    @Test func `with splice the kernel itself clears setuid, and requests fit a pipe`() throws {
        try withMount(configure: { $0.splice = true }) { mount in
            let negotiated = try #require(mount.server.negotiated)
            var wanted = Self.wanted.intersection(negotiated.offered)
            wanted.subtract([.handleKillPrivileges2, .overIOUring])
            #expect(negotiated.accepted.names == wanted.names)
            #expect(negotiated.maxWriteBytes == (1 << 20) - (64 << 10))
            #expect(negotiated.splice)
        }
    }

    @Test func `the readahead window is as asked for`() throws {
        try withMount(configure: { $0.maxReadAheadBytes = 2 << 20 }) { mount in
            let device = try Call.status(mount.path).st_dev
            let file = "/sys/class/bdi/\(device >> 8):\(device & 0xFF)/read_ahead_kb"
            let window = try String(contentsOfFile: file, encoding: .utf8)
            #expect(window == "2048\n")
        }
    }
}
