import Foundation

/// A directory of a test's own, deleted when the value that holds it goes away.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init(prefix: String = "apusfs-test") throws {
        let name = "\(prefix)-\(UUID().uuidString.prefix(13))"
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
