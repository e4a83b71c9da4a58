import FileSystem
import KeyValue
import Primitives
import TestSupport
import Testing
import VolumeFS
import VolumeStore

/// A mount whose session was taken for dead.
@Suite struct FencingTests {
    /// Ends the session as a mount that cleans up would.
    private func fence(_ harness: VolumeHarness) throws {
        let session = "{test}s\(harness.volumeStore.sessionID)"
        _ = try harness.keyValue.commit(Batch(mutations: [.delete(key: Bytes(session.utf8))]))
    }

    private func awaitNewSession(_ harness: VolumeHarness, after old: SessionID) {
        #expect(Polling.wait { harness.volumeStore.sessionID != old })
    }

    @Test func `a fenced mount reports what it lost and goes on`() throws {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        let harness = try VolumeHarness(options: options)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        try volume.write([UInt8](repeating: 1, count: 5_000), to: inode, handle, at: 0)
        try volume.fsync(inode, handle)
        let other = try volume.open(inode)
        try volume.write([UInt8](repeating: 2, count: 9_000), to: inode, handle, at: 0)
        let session = harness.volumeStore.sessionID
        try fence(harness)
        #expect(throws: Errno.ioError) { try volume.fsync(inode, handle) }
        awaitNewSession(harness, after: session)
        #expect(
            Polling.wait {
                (try? volume.read(inode, handle, at: 0, count: 20_000))?.count == 5_000
            }, "what was not committed is not shown any more")
        #expect(throws: Errno.ioError) { try volume.fsync(inode, other) }
        try volume.fsync(inode, other)
        try volume.write([3], to: inode, other, at: 0)
        try volume.fsync(inode, other)
        #expect(try volume.read(inode, other, at: 0, count: 1) == [3])
        #expect(try volume.attributes(inode).size == 5_000)
    }

    @Test func `what is open without a name is claimed again`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        try volume.write([1, 2, 3], to: inode, handle, at: 0)
        try volume.unlink("file")
        try volume.fsync(inode, handle)
        let session = harness.volumeStore.sessionID
        try fence(harness)
        #expect(throws: Errno.ioError) { try volume.mkdir("refused") }
        awaitNewSession(harness, after: session)
        let key = Bytes("{test}o\(harness.volumeStore.sessionID)".utf8)
        #expect(
            try Polling.wait {
                try harness.keyValue.read([.fieldCount(key: key)]) == [.count(1)]
            })
        #expect(try volume.read(inode, handle, at: 0, count: 9) == [1, 2, 3])
        try volume.close(inode, handle)
    }

    @Test func `locks are lost with the session, and can be taken anew`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        let lock = FileLock(
            family: .record, owner: 1, mode: .exclusive, range: 0...9, processID: 1)
        var waiting = lock
        waiting.owner = 2
        let answers = Locked<[Errno?]>([])
        let caller = harness.caller
        #expect(
            try volume.setLock(
                caller, inode: inode, handle: handle, lock: lock, waits: false, onAnswer: { _ in })
                == .taken)
        _ = try volume.setLock(
            caller, inode: inode, handle: handle, lock: waiting, waits: true
        ) { errno in answers.withLock { $0.append(errno) } }
        let session = harness.volumeStore.sessionID
        try fence(harness)
        #expect(throws: Errno.ioError) { try volume.mkdir("refused") }
        #expect(answers.withLock { $0 } == [.ioError])
        awaitNewSession(harness, after: session)
        #expect(Polling.wait { (try? volume.mkdir("works")) != nil })
        // Who believes to hold the lock learns it before anything is written.
        #expect(throws: Errno.ioError) { try volume.write([1], to: inode, handle, at: 0) }
        try volume.write([1], to: inode, handle, at: 0)
        _ = try volume.setLock(
            caller, inode: inode, handle: handle, lock: waiting, waits: false, onAnswer: { _ in })
        try volume.close(inode, handle)
    }
}
