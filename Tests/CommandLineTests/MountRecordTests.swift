import Glibc
import KeyValue
import Primitives
import TestSupport
import Testing

@testable import apusfs

@Suite struct MountRecordTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func record() -> MountRecord {
        MountRecord(
            process: getpid(), mountPoint: directory.path, source: "memory:", volume: "v",
            passwordFile: nil, logFile: nil, isReadOnly: false, since: 1, failure: nil)
    }

    private func find() throws -> MountRecord? {
        try MountRecord.find(mountPoint: directory.path, userID: nil)
    }

    @Test func `a mount is on record, with its process, until it ends well`() throws {
        #expect(try find() == nil)
        let registration = try MountRegistration(record())
        #expect(try find() == record())
        #expect(try find()?.serving(userID: nil)?.id == getpid())
        try registration.end(failure: nil)
        #expect(try find() == nil)
    }

    @Test func `two processes cannot serve one mount point`() throws {
        let registration = try MountRegistration(record())
        let failure = #expect(throws: CommandFailure.self) { try MountRegistration(record()) }
        #expect(failure?.message.contains("another apusfs process") == true)
        try registration.end(failure: nil)
        try MountRegistration(record()).end(failure: nil)
    }

    @Test func `a bad end stays on record until it was shown`() throws {
        try MountRegistration(record()).end(failure: "lost 2 files")
        #expect(try find()?.failure == "lost 2 files")
        #expect(try find()?.serving(userID: nil) == nil)
        MountRecord.remove(mountPoint: directory.path, userID: nil)
        #expect(try find() == nil)
    }

    @Test func `a dead process is told from a living one, and its record can be taken over`() throws
    {
        // The lock goes with the registration, as it does with a process that is killed.
        var registration: MountRegistration? = try MountRegistration(record())
        #expect(try find()?.serving(userID: nil) != nil)
        withExtendedLifetime(registration) {}
        registration = nil
        #expect(try find() != nil)
        #expect(try find()?.serving(userID: nil) == nil)
        try MountRegistration(record()).end(failure: nil)
        #expect(try find() == nil)
    }

    @Test func `the record of a living mount is not removed by others`() throws {
        let registration = try MountRegistration(record())
        MountRecord.remove(mountPoint: directory.path, userID: nil)
        #expect(try find() == record())
        try registration.end(failure: nil)
    }
}

@Suite struct StoreWarningsTests {
    private func warnings(
        mayEvict: Bool = false, _ persistence: StoreStatus.Persistence,
        _ place: Source.Place = .tcp(host: "h", port: 1)
    ) -> [String] {
        StoreWarnings.about(
            StoreStatus(
                product: "redis", usedBytes: 0, limitBytes: 0, machineBytes: 0,
                mayEvict: mayEvict, persistence: persistence, isReadOnly: false), Source(place))
    }

    @Test func `a server that may lose files is warned of, another is not`() {
        #expect(warnings(.everySecond) == [] && warnings(.always) == [])
        #expect(warnings(mayEvict: true, .always).first?.contains("DELETE FILES") == true)
        #expect(warnings(.none).first?.contains("NOTHING SURVIVES") == true)
        #expect(warnings(.snapshots).first?.contains("last snapshot") == true)
        #expect(warnings(mayEvict: true, .none).count == 2)
        #expect(warnings(.none, .memory).first?.contains("gone at unmount") == true)
    }
}

@Suite struct StoreFailureTests {
    private let source = Source(.tcp(host: "h", port: 1), password: Secret("hunter2"))

    @Test(arguments: [
        (
            StoreError.unavailable("redis://h:1/0: Connection refused"),
            "no answer: Connection refused; is"
        ),
        (.unavailable("timed out: 3 s"), "no answer: timed out: 3 s; is"),
        (.notAuthorized("NOAUTH Authentication required."), "wants a password"),
        (.notAuthorized("WRONGPASS invalid"), "wrong user or password"),
        (.notAuthorized("NOPERM this user"), "NOPERM this user"),
        (.readOnly, "--read-only"), (.outOfMemory, "maxmemory"),
    ])
    func `a failure of the store says what to do`(error: StoreError, text: String) {
        let message = StoreFailure.describe(error, source).message
        #expect(message.contains(text), "\(message)")
        #expect(message.hasPrefix("redis://:***@h:1/0: "), "\(message)")
    }
}
