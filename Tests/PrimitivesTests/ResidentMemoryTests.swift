import Primitives
import Testing

@Suite struct ResidentMemoryTests {
    @Test func `what the process takes follows what it touches`() throws {
        let before = try #require(ResidentMemory.bytes())
        let count = 64 << 20
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1, count: count)
        let after = try #require(ResidentMemory.bytes())
        // Other tests come and go meanwhile.
        #expect(after - before > count / 2)
        #expect(before > 1 << 20 && after < 64 << 30)
    }
}
