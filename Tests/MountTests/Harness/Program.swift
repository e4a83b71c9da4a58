import Foundation
import TestSupport

/// The program under test.
enum Program {
    struct NotBuilt: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) is not there: run `swift build --product apusfs`" }
    }

    /// `$APUSFS_BINARY`, or the one that was built with these tests: it lies beside the test bundle.
    static let path: String =
        ProcessInfo.processInfo.environment["APUSFS_BINARY"]
        ?? Bundle.main.executableURL.map { beside($0) } ?? beside(URL(fileURLWithPath: "."))

    /// Runs `apusfs WORDS...`.
    static func run(
        _ words: [String], in directory: String? = nil, environment: [String: String] = [:],
        limitSeconds: Int = 60
    ) throws -> ProgramRun {
        guard FileManager.default.isExecutableFile(atPath: path) else { throw NotBuilt(path: path) }
        return try ProgramRun.run(
            [path] + words, in: directory, environment: environment, limitSeconds: limitSeconds)
    }

    private static func beside(_ test: URL) -> String {
        // .build/debug/ApusFSPackageTests.xctest, or a helper of the toolchain that was given its path.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let neighbour = bundle.map { URL(fileURLWithPath: $0) } ?? test
        return neighbour.deletingLastPathComponent().appendingPathComponent("apusfs").path
    }
}
