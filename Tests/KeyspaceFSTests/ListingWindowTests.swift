import KeyValue
import Testing

@testable import KeyspaceFS

@Suite struct ListingWindowTests {
    private func entry(_ name: String) -> ListedEntry {
        ListedEntry(name: Bytes(name.utf8), place: .value(key: Bytes(name.utf8)))
    }

    @Test func `what comes twice is shown once, also after it was dropped`() {
        var window = ListingWindow(limit: 100)
        let first = window.add(["a", "b", "a"].map(entry))
        #expect(first == 2)
        #expect(window.end == 2)
        window.drop(before: 2)
        let second = window.add(["b", "c"].map(entry))
        #expect(second == 1)
        #expect(window.entry(2) == entry("c"))
        #expect(window.entry(3) == nil)
        #expect(window.start == 2)
    }

    @Test func `entries keep their numbers`() {
        var window = ListingWindow(limit: 100)
        window.add((0..<50).map { entry("\($0)") })
        window.drop(before: 20)
        #expect(window.entry(20) == entry("20"))
        window.drop(before: 10)
        #expect(window.start == 20)
        window.drop(before: 1_000)
        #expect(window.start == 50 && window.end == 50)
    }
}
