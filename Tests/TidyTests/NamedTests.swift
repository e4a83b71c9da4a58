/// Tests that a page of docs names as what holds its sentences.
enum NamedTests {
    /// Fewer words between back-ticks are a command or an option.
    private static let leastWords = 4

    /// Between back-ticks, in order, also over the end of a line: sentences, and names of suites.
    static func names(in pages: [SourceTree.File]) -> [String] {
        pages.flatMap { page in
            let text = joined(page.lines)
            let quoted = text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .filter { !$0.offset.isMultiple(of: 2) }.map { String($0.element) }
            return quoted.filter { name in
                let words = name.split(separator: " ").count
                return words >= leastWords || words == 1 && isSuite(name)
            }
        }
    }

    static func missing(in pages: [SourceTree.File], among tests: [SourceTree.File]) -> [String] {
        let source = joined(tests.flatMap(\.lines))
        return names(in: pages).filter { name in
            isSuite(name)
                ? !source.contains("struct \(name) {") : !source.contains("func `\(name)`")
        }
    }

    private static func isSuite(_ name: String) -> Bool {
        name.hasSuffix("Tests") && !name.contains(" ")
    }

    private static func joined(_ lines: [String]) -> String {
        lines.flatMap { $0.split(separator: " ") }.joined(separator: " ")
    }
}
