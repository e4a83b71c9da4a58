import Foundation
import Testing

/// Who may see whom: docs/DESIGN.md, section 3.
@Suite struct ImportGraphTests {
    /// Swift modules of the project, and what each may import.
    static let allowed: [String: Set<String>] = [
        "Primitives": ["CLinux"],
        "Telemetry": ["Primitives"],
        "KeyValue": ["Primitives", "Telemetry"],
        "FileSystem": ["Primitives"],
        "Codecs": ["CLZ4", "CZlib", "Primitives"],
        "Redis": [
            "CHiredis", "CLinux", "COpenSSL", "KeyValue", "Logging", "Primitives", "Telemetry",
        ],
        "Cache": ["CLinux", "Primitives", "Telemetry"],
        "VolumeStore": [
            "Codecs", "FileSystem", "KeyValue", "Logging", "Primitives", "Telemetry",
        ],
        "VolumeFS": ["Cache", "FileSystem", "Logging", "Primitives", "Telemetry", "VolumeStore"],
        "KeyspaceFS": [
            "FileSystem", "KeyValue", "Logging", "Primitives", "Redis", "Telemetry",
        ],
        "FuseServer": [
            "CFuse", "CLinux", "CUring", "FileSystem", "Logging", "Primitives", "Telemetry",
        ],
        "apusfs": [
            "ArgumentParser", "CJemalloc", "CLinux", "Codecs", "FileSystem", "FoundationEssentials",
            "FuseServer", "KeyspaceFS", "KeyValue", "Logging", "Primitives", "Redis", "Telemetry",
            "VolumeFS", "VolumeStore",
        ],
    ]

    /// What every module may import.
    static let system: Set = ["Glibc", "Synchronization"]

    /// The modules that `lines` import.
    static func imports(_ lines: [String]) -> Set<String> {
        let attributes: Set = [
            "public", "package", "internal", "fileprivate", "private", "@preconcurrency",
            "@testable", "@_exported", "@_spi",
        ]
        let kinds: Set = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let modules = lines.compactMap { line -> String? in
            let words = Rule.withoutComment(line).split(separator: " ").map { String($0) }
            guard let position = words.firstIndex(of: "import"),
                words[..<position].allSatisfy({ attributes.contains($0) })
            else { return nil }
            let name = words[(position + 1)...].first { !kinds.contains($0) }
            return name.flatMap { $0.split(separator: ".").first.map { String($0) } }
        }
        return Set(modules)
    }

    private func files(of module: String) throws -> [SourceTree.File] {
        try SourceTree.files(in: "Sources/\(module)", endings: [".swift"])
    }

    @Test func `each module imports only what it may see`() throws {
        for (module, allowed) in Self.allowed.sorted(by: { $0.key < $1.key }) {
            for file in try files(of: module) {
                let others = Self.imports(file.lines).subtracting(allowed)
                    .subtracting(Self.system)
                #expect(others.isEmpty, "\(file.path) may not import \(others.sorted())")
            }
        }
    }

    @Test func `every module of the project is in the table`() throws {
        let swift = try SourceTree.directories(in: "Sources").filter {
            try !SourceTree.files(in: "Sources/\($0)", endings: [".swift"]).isEmpty
        }
        #expect(Set(swift) == Set(Self.allowed.keys))
    }

    @Test(arguments: ["CFuse", "CHiredis", "CLZ4", "COpenSSL", "CZlib", "CJemalloc", "CUring"])
    func `each C library has one Swift importer`(library: String) throws {
        let importers = try Self.allowed.keys.filter { module in
            try files(of: module).contains { Self.imports($0.lines).contains(library) }
        }
        #expect(importers.count == 1, "\(library) is imported by \(importers.sorted())")
    }

    @Test func `the table has no cycle`() {
        var depth: [String: Int] = [:]
        func measure(_ module: String, _ path: [String]) -> Int {
            #expect(!path.contains(module), "\(path) leads back to \(module)")
            if path.contains(module) { return 0 }
            if let known = depth[module] { return known }
            let below = (Self.allowed[module] ?? []).map { measure($0, path + [module]) }
            let result = (below.max() ?? 0) + 1
            depth[module] = result
            return result
        }
        for module in Self.allowed.keys { _ = measure(module, []) }
    }

    @Test(arguments: [
        ("import Redis", "Redis"), ("public import KeyValue", "KeyValue"),
        ("@preconcurrency import Glibc", "Glibc"), ("import struct Foundation.URL", "Foundation"),
        ("@testable import apusfs  // why", "apusfs"),
    ])
    func `an import is recognised however it is written`(line: String, module: String) {
        #expect(Self.imports([line]) == [module])
    }

    @Test(arguments: ["// import Redis", "let x = \"import Redis\"", "func important() {}", ""])
    func `what is no import is none`(line: String) {
        #expect(Self.imports([line]) == [])
    }
}
