import Foundation

/// The project's own files, found from where this file is.
enum SourceTree {
    static let root: URL = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct File: Sendable {
        /// From the root of the project.
        let path: String
        let lines: [String]

        var name: String { String(path.split(separator: "/").last ?? "") }
    }

    /// Every file below the directory whose name ends so, in order.
    static func files(in directory: String, endings: [String]) throws -> [File] {
        let base = root.appendingPathComponent(directory)
        let names = try FileManager.default.subpathsOfDirectory(atPath: base.path)
        return try names.sorted().filter { name in endings.contains { name.hasSuffix($0) } }.map {
            let text = try String(
                contentsOf: base.appendingPathComponent($0), encoding: .utf8)
            return File(
                path: "\(directory)/\($0)", lines: text.components(separatedBy: "\n"))
        }
    }

    static func directories(in directory: String) throws -> [String] {
        let base = root.appendingPathComponent(directory)
        return try FileManager.default.contentsOfDirectory(atPath: base.path).filter { name in
            var isDirectory: ObjCBool = false
            let path = base.appendingPathComponent(name).path
            return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
                && isDirectory.boolValue
        }.sorted()
    }

    /// What git keeps at the top level.
    static func trackedTopLevel() throws -> [String] {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = ["git", "-C", root.path, "ls-files"]
        let output = Pipe()
        git.standardOutput = output
        try git.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { throw CocoaError(.fileReadUnknown) }
        let tops = String(decoding: data, as: UTF8.self).split(separator: "\n")
            .compactMap { $0.split(separator: "/").first.map { String($0) } }
        return Set(tops).sorted()
    }
}
