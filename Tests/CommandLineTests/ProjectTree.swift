import Foundation
import TestSupport

/// Files of the project, and the program that was built for these tests.
enum ProjectTree {
    static func path(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(name).path
    }

    /// Beside the bundle of the tests.
    static var program: String {
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("apusfs").path
    }
}
