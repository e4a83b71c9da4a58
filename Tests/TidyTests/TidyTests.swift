import Foundation
import Testing

/// The rules of docs/CONVENTIONS.md, held over the whole tree. Each is shown to find what it looks for.
@Suite struct TidyTests {
    private static let swiftFiles = Result {
        try SourceTree.files(in: "Sources", endings: [".swift"])
    }
    private static let testFiles = Result { try SourceTree.files(in: "Tests", endings: [".swift"]) }
    private static let cFiles = Result {
        try SourceTree.files(in: "Sources", endings: [".c", ".h"])
    }

    private func planted(_ line: String, in rule: Rule, name: String = "Planted.swift") -> [String]
    {
        rule.violations(in: [SourceTree.File(path: "Sources/X/\(name)", lines: [line])])
    }

    private func expectNone(
        _ violations: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(
            violations.isEmpty, "\n\(violations.joined(separator: "\n"))",
            sourceLocation: sourceLocation)
    }

    @Test func `the tree is found`() throws {
        #expect(try Self.swiftFiles.get().count > 50)
        #expect(try Self.testFiles.get().contains { $0.name == "TidyTests.swift" })
        #expect(try Self.cFiles.get().count > 4)
    }

    @Test func `no file is longer than 600 lines`() throws {
        let all = try Self.swiftFiles.get() + Self.testFiles.get() + Self.cFiles.get()
        expectNone(Rule.length.violations(in: all))
        let long = SourceTree.File(
            path: "x", lines: Array(repeating: "", count: Rule.maximumLines + 2))
        #expect(Rule.length.violations(in: [long]).count == 1)
    }

    @Test func `no line is wider than it may be`() throws {
        expectNone(Rule.width.violations(in: try Self.swiftFiles.get() + Self.testFiles.get()))
        #expect(planted(String(repeating: "x", count: 101), in: .width).count == 1)
        #expect(planted(String(repeating: "ü", count: 100), in: .width).isEmpty)
        #expect(planted("//" + String(repeating: "x", count: 111), in: .width).count == 1)
    }

    @Test func `no file is called after nothing in particular`() throws {
        expectNone(Rule.fileNames.violations(in: try Self.swiftFiles.get() + Self.testFiles.get()))
        #expect(planted("", in: .fileNames, name: "StringUtils.swift").count == 1)
    }

    @Test func `nothing is left unfinished`() throws {
        expectNone(Rule.unfinished.violations(in: try Self.swiftFiles.get() + Self.cFiles.get()))
        #expect(planted("// \("TO")DO: later", in: .unfinished).count == 1)
    }

    @Test func `no error is swallowed or turned into a crash`() throws {
        expectNone(Rule.swallowedErrors.violations(in: try Self.swiftFiles.get()))
        for line in ["let x = try? f()", "try! f()", "fatalError(\"x\")", "g(\"//\", try? f())"] {
            #expect(planted(line, in: .swallowedErrors).count == 1, "\(line)")
        }
        #expect(planted("f(entry?.x)  // never try? here", in: .swallowedErrors).isEmpty)
    }

    @Test func `keys are made in one file`() throws {
        expectNone(Rule.keys.violations(in: try Self.swiftFiles.get()))
        #expect(planted("let key = Bytes(\"{\\(volume)}i1\".utf8)", in: .keys).count == 1)
        #expect(planted("\"\\(volume)/b{\"", in: .keys).count == 1)
        let schema = try Self.swiftFiles.get().filter { $0.name == "Schema.swift" }
        #expect(schema.count == 1 && schema[0].lines.contains { $0.contains("/b{") })
    }

    @Test func `locks are those that the thread sanitizer understands`() throws {
        expectNone(Rule.mutexes.violations(in: try Self.swiftFiles.get()))
        #expect(planted("let m = Mutex(0)", in: .mutexes).count == 1)
    }

    @Test func `no test sleeps`() throws {
        let others = try Self.testFiles.get().filter { !$0.path.contains("TidyTests/") }
        expectNone(Rule.waitingTests.violations(in: others))
        #expect(planted("Thread.sleep(forTimeInterval: 1)", in: .waitingTests).count == 1)
    }

    @Test func `what the threads of a test find wrong belongs to the test`() throws {
        let others = try Self.testFiles.get().filter { file in
            !["/TidyTests/", "/TestSupport/", "/ThreadsTests.swift"].contains {
                file.path.contains($0)
            }
        }
        expectNone(Rule.plainThreads.violations(in: others))
        #expect(planted("WorkerThread(name: \"x\") {", in: .plainThreads).count == 1)
        #expect(planted("let thread = Thread { f() }", in: .plainThreads).count == 1)
        #expect(planted("TestThread(name: \"x\") {", in: .plainThreads).isEmpty)
    }

    @Test func `the tests that docs name exist`() throws {
        let pages = try SourceTree.files(in: "docs", endings: ["SEMANTICS.md"])
        let tests = try Self.testFiles.get()
        #expect(NamedTests.missing(in: pages, among: tests) == [])
        #expect(NamedTests.names(in: pages).count > 80)
        let page = SourceTree.File(
            path: "docs/x.md",
            lines: ["*(`a promise that nobody", "keeps`, `NoSuchTests`,", "`a b`)*"])
        #expect(
            NamedTests.missing(in: [page], among: tests)
                == ["a promise that nobody keeps", "NoSuchTests"])
    }

    @Test func `the top level holds what was agreed`() throws {
        let agreed: Set = [
            "Package.swift", "Package.resolved", "Sources", "Tests", "Benchmarks", "perf",
            "README.md", "Makefile", "docs", "LICENSE",
        ]
        let others = try SourceTree.trackedTopLevel().filter {
            !agreed.contains($0) && !$0.hasPrefix(".")
        }
        #expect(others == [])
    }
}
