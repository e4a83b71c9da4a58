import TestSupport
import Testing

/// The program refused: with this status, one line on standard error that begins with its name and holds every
/// one of `mentions`, and nothing on standard output.
func expectRefusal(
    _ run: ProgramRun, status: Int32, mentions: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let lines = run.errors.split(separator: "\n", omittingEmptySubsequences: false)
    let isOneLine = lines.count == 2 && lines[1].isEmpty
    #expect(run.status == status, "\(run)", sourceLocation: sourceLocation)
    #expect(isOneLine, "not one line: \(run)", sourceLocation: sourceLocation)
    #expect(run.errors.hasPrefix("apusfs: "), "\(run)", sourceLocation: sourceLocation)
    #expect(run.output == "", sourceLocation: sourceLocation)
    for text in mentions {
        #expect(run.errors.contains(text), "no '\(text)': \(run)", sourceLocation: sourceLocation)
    }
}

/// Exit statuses, as the help of `apusfs mount` states them.
enum Status {
    static let failure: Int32 = 1
    static let mountFailure: Int32 = 32
    static let usage: Int32 = 64
}

extension RedisServer {
    /// Changes with any change of any key.
    func digest() throws -> String { try cli("DEBUG", "DIGEST") }

    /// The names of all keys, in order.
    func keys() throws -> [String] {
        try cli("--scan").split(separator: "\n").map(String.init).sorted()
    }

    var source: String { "unix://" + path }
}
