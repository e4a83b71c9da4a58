import Testing

@testable import VolumeFS

@Suite struct RefusedOpensTests {
    @Test func `a thread is refused once, and each by itself`() {
        let refused = RefusedOpens()
        #expect(!refused.take(1))
        refused.add(1)
        #expect(!refused.take(2))
        #expect(refused.take(1))
        // What it opens next is a first try again.
        #expect(!refused.take(1))
    }

    @Test func `an open that found a name ends it`() {
        let refused = RefusedOpens()
        refused.add(1)
        refused.forget(1)
        #expect(!refused.take(1))
    }

    @Test func `a refusal that was long ago is none`() {
        let refused = RefusedOpens(keptMilliseconds: 0)
        refused.add(1)
        #expect(!refused.take(1))
    }

    @Test func `threads that never come back do not add up`() {
        let refused = RefusedOpens()
        let threads = Int32(RefusedOpens.maximumCount)
        for thread in 0..<threads { refused.add(thread) }
        #expect(refused.take(0))
        refused.add(0)
        refused.add(threads)
        // The oldest pay for it: one more ESTALE, which the kernel meets with another look.
        #expect(!refused.take(1))
        #expect(refused.take(threads))
    }
}
