import Testing

@testable import Cache

@Suite struct BlockPoolTests {
    @Test func `slots are different memory, and the last one back is the first one out`() throws {
        let pool = BlockPool(blockBytes: 4_096, capacity: 10, reserveCount: 1)
        let slots = (0..<10).compactMap { _ in pool.take() }
        #expect(Set(slots).count == 10)
        #expect(pool.take() == nil)
        for slot in slots {
            let memory = pool.slots.memory(of: slot)
            #expect(memory.count == 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: UInt8(slot))
        }
        for slot in slots {
            #expect(pool.slots.memory(of: slot).allSatisfy { $0 == UInt8(slot) })
        }
        pool.give(slots[3])
        pool.give(slots[7])
        #expect(pool.take() == slots[7])
        #expect(pool.take() == slots[3])
        #expect(pool.take() == nil)
        #expect(pool.usedCount == 10)
    }

    @Test func `the reserve is bounded, and its slots are used again`() {
        let pool = BlockPool(blockBytes: 1_048_576, capacity: 4, reserveCount: 5)
        var slots: [BlockPool.Slot] = []
        while let slot = pool.take(beyondCapacity: true) {
            pool.slots.memory(of: slot)[0] = 0xFF
            slots.append(slot)
        }
        #expect(slots.count == 4 + 5)
        #expect(pool.isBeyondCapacity)
        let last = slots.removeLast()
        pool.give(last)
        #expect(pool.take(beyondCapacity: true) == last)
        #expect(pool.take(beyondCapacity: true) == nil)
        pool.give(last)
        for slot in slots.reversed() { pool.give(slot) }
        #expect(!pool.isBeyondCapacity && pool.usedCount == 0)
        // Within the capacity memory stays warm.
        #expect(pool.slots.memory(of: slots[0])[0] == 0xFF)
    }

    @Test func `a smaller capacity gives memory back to the system, a larger one takes it again`() {
        let pool = BlockPool(blockBytes: 4_096, capacity: 8, reserveCount: 1)
        let slots = (0..<8).compactMap { _ in pool.take() }
        for slot in slots { pool.slots.memory(of: slot)[0] = 0xFF }
        pool.capacity = 5
        #expect(pool.isBeyondCapacity && pool.residentCount == 8)
        pool.releaseSurplus()
        #expect(pool.residentCount == 8, "memory in use is nobody's to give away")
        for slot in slots.prefix(4) { pool.give(slot) }
        pool.releaseSurplus()
        #expect(!pool.isBeyondCapacity && pool.usedCount == 4 && pool.residentCount == 5)
        // Three are cold, and cleared by the system.
        #expect(slots.prefix(4).map { pool.slots.memory(of: $0)[0] } == [0xFF, 0, 0, 0])
        #expect(pool.take() == slots[0])
        #expect(pool.take() == nil)
        #expect(pool.take(beyondCapacity: true) != nil)
        #expect(pool.take(beyondCapacity: true) == nil)
        pool.capacity = 8
        let more = (0..<2).compactMap { _ in pool.take() }
        #expect(more.count == 2 && pool.take() == nil && pool.residentCount == 8)
    }

    @Test func `while a slot is on its way to the system none is handed out that does not exist`()
        throws
    {
        let pool = BlockPool(blockBytes: 4_096, capacity: 4, reserveCount: 2)
        let slots = (0..<6).compactMap { _ in pool.take(beyondCapacity: true) }
        pool.give(slots[0])
        pool.give(slots[1])
        let leaving = try #require(pool.takeSurplus())
        #expect(pool.take(beyondCapacity: true) == slots[0])
        #expect(pool.take(beyondCapacity: true) == nil)
        pool.becomeCold(leaving)
        #expect(pool.take(beyondCapacity: true) == slots[1])
        #expect(pool.take(beyondCapacity: true) == nil)
    }

    @Test func `the block of zeros is as long as a block`() {
        let pool = BlockPool(blockBytes: 8_192, capacity: 8, reserveCount: 1)
        #expect(pool.slots.zeros.count == 8_192)
        #expect(pool.slots.zeros.allSatisfy { $0 == 0 })
    }
}
