import CJemalloc
import FileSystem
import Foundation
import FuseServer
import Primitives
import Testing

/// Answers lookup, getattr, read and write without allocating, and notes how much memory the worker had
/// allocated in its life whenever one arrives.
private final class QuietFileSystem: MemoryFileSystem, @unchecked Sendable {
    static let file = InodeID(2)
    private static let capacity = 1_000

    /// Bytes allocated by the worker at each call. One worker: no lock.
    nonisolated(unsafe) private(set) var marks = [UInt64](repeating: 0, count: capacity)
    nonisolated(unsafe) private(set) var markCount = 0
    private let payload = UnsafeRawBufferPointer(
        UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 4_096))
    private let pieces = UnsafeMutableBufferPointer<UnsafeRawBufferPointer>.allocate(capacity: 4)

    override init() {
        super.init()
        for index in 0..<4 {
            pieces[index] = UnsafeRawBufferPointer(
                rebasing: payload[index * 4_096..<(index + 1) * 4_096])
        }
    }

    deinit {
        payload.deallocate()
        pieces.deallocate()
    }

    func restart() { markCount = 0 }

    /// A C string of its own: Swift's conversion would allocate one for each call.
    nonisolated(unsafe) private static let counterName = strdup("thread.allocated")

    private func mark() {
        var size = MemoryLayout<UInt64>.size
        _ = apusfs_jemalloc_read(Self.counterName, &marks[markCount], &size)
        markCount += 1
    }

    private static let attributes: Attributes = {
        var attributes = MemoryFileSystem.attributes(file, .regular, 0o644)
        attributes.size = 1 << 20
        return attributes
    }()

    override func lookup(
        _ caller: Caller, parent: InodeID, name: FileName
    ) throws(Errno) -> EntryAnswer {
        mark()
        return EntryAnswer(
            attributes: Self.attributes, entryTimeoutSeconds: 0, attributesTimeoutSeconds: 0)
    }

    override func getattr(
        _ caller: Caller, inode: InodeID, handle: HandleID?
    ) throws(Errno) -> AttributesAnswer {
        if inode == .root {
            return AttributesAnswer(
                attributes: MemoryFileSystem.attributes(.root, .directory, 0o755),
                timeoutSeconds: 3_600)
        }
        mark()
        return AttributesAnswer(attributes: Self.attributes, timeoutSeconds: 0)
    }

    override func open(
        _ caller: Caller, inode: InodeID, options: OpenOptions
    ) throws(Errno) -> OpenAnswer {
        var answer = OpenAnswer(handle: HandleID(1))
        answer.direct = true
        return answer
    }

    override func read(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset, count: Int,
        sink: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Void
    ) throws(Errno) {
        mark()
        sink(UnsafeBufferPointer(pieces))
    }

    override func write(
        _ caller: Caller, inode: InodeID, handle: HandleID, offset: FileOffset,
        payload: UnsafeRawBufferPointer, options: WriteOptions
    ) throws(Errno) -> Int {
        mark()
        return payload.count
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct AllocationTests {
    /// libfuse's own `struct fuse_req`, allocated for each request: the only allocation there may be.
    private static let libfuseRequestBytes: UInt64 = 128
    private static let rounds = 200

    /// What the worker allocated from one request to the next of the same kind, over all rounds but the
    /// first, in which the thread makes its own memory: the smallest amount, and that of nine in ten
    /// (others of the kernel's requests may come between, as FORGET does when somebody drops caches).
    private func bytesPerRequest(
        _ call: (_ path: String, _ file: Int32) throws -> Void
    ) throws -> [UInt64] {
        let files = QuietFileSystem()
        var differences: [UInt64] = []
        // One worker: what it allocated is counted by thread, and over io_uring there are several.
        try withMount(
            files,
            configure: {
                $0.transport = .device
                $0.threads = 1
            }
        ) { mount in
            let path = mount.path + "/file"
            try Call.withFile(path, O_RDWR) { file in
                try call(path, file)
                files.restart()
                for _ in 0..<Self.rounds { try call(path, file) }
            }
            try #require(files.markCount >= Self.rounds)
            for index in 1..<files.markCount {
                differences.append(files.marks[index] - files.marks[index - 1])
            }
        }
        differences.sort()
        return [differences[0], differences[differences.count * 9 / 10]]
    }

    private static let hasJemalloc = apusfs_jemalloc_is_linked()

    @Test(.enabled(if: hasJemalloc, "sanitizers bring their own malloc"))
    func `a lookup allocates nothing but libfuse's request`() throws {
        let bytes = try bytesPerRequest { path, _ in try Call.checked(access(path, F_OK)) }
        #expect(bytes == [Self.libfuseRequestBytes, Self.libfuseRequestBytes])
    }

    @Test(.enabled(if: hasJemalloc, "sanitizers bring their own malloc"))
    func `a getattr allocates nothing but libfuse's request`() throws {
        let bytes = try bytesPerRequest { _, file in
            var status = stat()
            try Call.checked(fstat(file, &status))
        }
        #expect(bytes == [Self.libfuseRequestBytes, Self.libfuseRequestBytes])
    }

    @Test(.enabled(if: hasJemalloc, "sanitizers bring their own malloc"))
    func `a read of several pieces allocates nothing but libfuse's request`() throws {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let bytes = try bytesPerRequest { _, file in
            try Call.checked(pread(file, &buffer, buffer.count, 0))
        }
        #expect(bytes == [Self.libfuseRequestBytes, Self.libfuseRequestBytes])
    }

    @Test(.enabled(if: hasJemalloc, "sanitizers bring their own malloc"))
    func `a write allocates nothing but libfuse's request`() throws {
        let buffer = [UInt8](repeating: 0, count: 16_384)
        let bytes = try bytesPerRequest { _, file in
            try Call.checked(pwrite(file, buffer, buffer.count, 0))
        }
        #expect(bytes == [Self.libfuseRequestBytes, Self.libfuseRequestBytes])
    }
}
