import KeyValue
import Primitives
import Testing

@testable import VolumeStore

@Suite struct HistoryTests {
    private func values(change: Int64) -> [Bytes?] {
        [Bytes(decimal: Int64(1)), Bytes(decimal: change), Bytes(decimal: Int64(0))]
    }

    @Test
    func `a change number that is given out twice is a loss, however far the volume got since`() {
        var history = History()
        history.note(losses: 0)
        history.note(change: 100)
        #expect(history.loss(in: values(change: 100)) == nil)
        #expect(history.loss(in: values(change: 99)) != nil)
        // Numbers of changes that were under way together come in any order.
        history.note(change: 102, askedAt: 100)
        history.note(change: 101, askedAt: 100)
        #expect(history.loss(in: values(change: 102)) == nil)
        // The store went back to 100; by the time somebody looks it has more than was seen.
        history.note(change: 101, askedAt: 102)
        #expect(history.loss(in: values(change: 110))?.greatestChange == 102)
        history.noteLossStored()
        #expect(history.loss(in: values(change: 110)) == nil)
    }
}
