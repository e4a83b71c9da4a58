import Cache
import FileSystem
import Primitives
import Synchronization
import TestSupport
import Testing
import VolumeStore

@testable import VolumeFS

/// A flush and a write of one file at the same time.
@Suite struct FlushRaceTests {
    private func facts() -> InodeState {
        InodeState(
            record: InodeRecord(
                id: InodeID(2), kind: .regular, permissions: 0o644,
                accessTime: .now, modificationTime: .now, changeTime: .now, data: DataID(2)),
            isFresh: true)
    }

    @Test func `a flush that ran within a write leaves the file dirty`() {
        let state = facts()
        state.withFacts { facts in
            facts.noteWrite(end: 10, at: .now, clearing: .none)
            // The flush takes what is there, and commits all attributes.
            let sequence = facts.writeSequence
            facts.settle(facts.pending)
            facts.noteFlushed(from: sequence)
            // The rest of the write's blocks become dirty only now.
            facts.noteWritten()
            #expect(facts.isDirty)
        }
    }

    @Test func `a flush that began within a write does not end its being dirty`() {
        let state = facts()
        state.withFacts { facts in
            facts.noteWrite(end: 10, at: .now, clearing: .none)
            let sequence = facts.writeSequence
            facts.settle(facts.pending)
            facts.noteWritten()
            facts.noteFlushed(from: sequence)
            #expect(facts.isDirty)
            facts.noteFlushed(from: facts.writeSequence)
            #expect(!facts.isDirty)
        }
    }

    @Test func `a flush is not undone by a record that was fetched before it`() throws {
        let harness = try VolumeHarness()
        defer { harness.unmount() }
        let volume = harness.volume
        let other = try harness.secondMount()
        defer { other.unmounted() }
        #expect(Polling.wait { !harness.volumeStore.isAlone })
        let (inode, handle) = try volume.create("file")
        try volume.write([1, 2, 3], to: inode, handle, at: 0)
        try volume.fsync(inode, handle)
        let late = "late-open"
        var reader: TestThread?
        try harness.keyValue.holding(late, at: .answer) {
            reader = TestThread(name: late) {
                #expect(throws: Never.self) {
                    let handle = try volume.open(inode)
                    try volume.close(inode, handle)
                }
            }
            harness.keyValue.awaitHeld(late)
            try volume.write([4, 5, 6], to: inode, handle, at: 3)
            try volume.fsync(inode, handle)
        }
        reader?.join()
        #expect(volume.inodes.state(of: inode)?.record.size == 6)
        let again = try volume.open(inode, [.read, .write])
        #expect(try volume.read(inode, again, at: 0, count: 10) == [1, 2, 3, 4, 5, 6])
        try volume.close(inode, again)
        try volume.close(inode, handle)
    }

    @Test func `after a write and an fsync nothing is dirty, however flushes interleave`() throws {
        var options = VolumeOptions()
        options.flushIntervalMilliseconds = 3_600_000
        let harness = try VolumeHarness(blockSize: 4_096, options: options)
        defer { harness.unmount() }
        let volume = harness.volume
        let (inode, handle) = try volume.create("file")
        let isOver = Atomic<Bool>(false)
        let flusher = TestThread(name: "flusher") {
            while !isOver.load(ordering: .acquiring) {
                #expect(throws: Never.self) { try volume.fsync(inode, handle) }
            }
        }
        defer { flusher.join() }
        defer { isOver.store(true, ordering: .releasing) }
        for round in 0..<400 {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: 32 * 4_096)
            try volume.write(bytes, to: inode, handle, at: 0)
            try volume.fsync(inode, handle)
            #expect(volume.cache.dirtyBytes == 0, "after round \(round)")
        }
    }
}
