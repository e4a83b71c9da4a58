import CJemalloc
import Primitives
import Testing

@testable import Cache

/// Bytes that the calling thread has allocated since it began.
private func allocatedBytes() -> UInt64? {
    // A static string, so that the question itself allocates nothing.
    let name: StaticString = "thread.allocated"
    var bytes: UInt64 = 0
    var size = MemoryLayout<UInt64>.size
    let result = name.withUTF8Buffer { text in
        apusfs_jemalloc_read(
            UnsafeRawPointer(text.baseAddress)?.assumingMemoryBound(to: CChar.self), &bytes, &size)
    }
    guard result == 0 else { return nil }
    return bytes
}

@Suite(.enabled(if: apusfs_jemalloc_is_linked(), "a sanitizer brings its own malloc"))
struct CacheAllocationTests {
    /// What `body` allocates on this thread in 1,000 rounds.
    private func allocated(_ body: () throws -> Void) throws -> UInt64 {
        try body()
        // Nothing but the rounds stands between the two looks: `#require` allocates, too.
        let before = allocatedBytes()
        for _ in 0..<1_000 { try body() }
        let after = allocatedBytes()
        return try #require(after) - #require(before)
    }

    @Test func `jemalloc counts what this test allocates`() throws {
        let bytes = try allocated {
            UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8).deallocate()
        }
        #expect(bytes >= 100_000)
    }

    @Test func `a hit allocates nothing`() throws {
        let fixture = try Fixture()
        let address = Fixture.address(0)
        fixture.store.put(address, fixture.filled(1))
        _ = try fixture.read(0)
        let cache = fixture.cache
        let bytes = try allocated {
            if let pin = cache.pin(address, 100..<4_000) { cache.unpin(pin) }
        }
        #expect(bytes == 0)
    }

    @Test func `a hole and a miss allocate nothing`() throws {
        let fixture = try Fixture()
        fixture.cache.assumeAbsent(Fixture.address(0))
        let cache = fixture.cache
        let bytes = try allocated {
            if let pin = cache.pin(Fixture.address(0), 0..<4_096) { cache.unpin(pin) }
            _ = cache.pin(Fixture.address(1), 0..<1)
        }
        #expect(bytes == 0)
    }

    @Test func `writing again into a dirty block allocates nothing`() throws {
        let fixture = try Fixture()
        let bytes = [UInt8](repeating: 1, count: 512)
        let cache = fixture.cache
        let address = Fixture.address(0)
        let total = try bytes.withUnsafeBytes { raw in
            try allocated {
                try cache.write(
                    address, owner: Fixture.owner, at: 1_000, bytes: raw, baseIsAbsent: true)
            }
        }
        #expect(total == 0)
        try fixture.flush()
    }
}
