import Testing

@testable import VolumeFS

@Suite struct PageDoubtTests {
    @Test func `what was read since it was dropped, and is written, is dropped again, in pages`() {
        var doubt = PageDoubt()
        doubt.noteRead(0..<100_000)
        #expect(doubt.take(0..<100_000) == nil, "nothing was dropped")
        doubt.noteDrop(0..<126_976)
        doubt.noteRead(0..<32_768)
        #expect(doubt.take(50_000..<60_000) == nil)
        doubt.noteRead(0..<32_768)
        #expect(doubt.take(21_000..<28_000) == 20_480..<28_672)
        #expect(doubt.take(21_000..<28_000) == nil, "it was read before that write")
        doubt.noteRead(8_192..<12_288)
        doubt.noteRead(24_576..<28_672)
        #expect(doubt.take(0..<200_000) == 8_192..<28_672)
    }

    @Test func `what is dropped once more is not in the cache`() {
        var doubt = PageDoubt()
        doubt.noteDrop(0..<126_976)
        doubt.noteRead(0..<32_768)
        doubt.noteDrop(8_192..<16_384)
        #expect(doubt.take(8_192..<16_384) == nil)
        doubt.noteRead(0..<32_768)
        doubt.noteDrop(8_192..<126_976)
        #expect(doubt.take(0..<UInt64.max) == 0..<8_192)
    }

    @Test func `of many ranges nothing is forgotten`() {
        var doubt = PageDoubt()
        for block in 0..<100 as Range<UInt64> {
            doubt.noteDrop(block * 1_000_000..<block * 1_000_000 + 4_096)
        }
        for block in 0..<100 as Range<UInt64> {
            doubt.noteRead(block * 1_000_000..<block * 1_000_000 + 4_096)
        }
        for block in [0, 50, 99] as [UInt64] {
            var copy = doubt
            let older = copy.take(block * 1_000_000..<block * 1_000_000 + 10)
            #expect(older?.contains(block * 1_000_000) == true)
        }
    }

    @Test func `a drop that the kernel may make by itself leaves in doubt what was read before`() {
        var doubt = PageDoubt()
        doubt.noteDrop(0..<8_192)
        doubt.noteTold()
        #expect(doubt.isIdle)
        doubt.noteRead(0..<8_192)
        doubt.noteDropByKernel(0..<UInt64.max)
        #expect(!doubt.isIdle, "it may still come")
        doubt.noteRead(8_192..<12_288)
        #expect(doubt.take(0..<12_288) == 0..<12_288)
    }
}

@Suite struct OldEndTests {
    @Test func `the lowest end holds until all that was noted is acted upon`() {
        var notes = OldEnd.Notes()
        #expect(notes.pending == nil)
        notes.note(100)
        let first = notes.pending
        #expect(first?.size == 100)
        notes.note(300)
        #expect(notes.pending?.size == 100)
        // Whoever acted upon the first did so before the file grew again.
        if let first { notes.settle(first) }
        let second = notes.pending
        #expect(second?.size == 100)
        if let second { notes.settle(second) }
        #expect(notes.pending == nil)
        notes.note(100)
        if let first { notes.settle(first) }
        #expect(notes.pending?.size == 100, "the same size, noted later")
    }
}
