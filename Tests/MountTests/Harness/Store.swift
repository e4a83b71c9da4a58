import Foundation
import Primitives
import TestSupport

/// Where the volume of a test is stored.
enum Store: Sendable {
    /// A redis-server of the test's own.
    case redis(RedisServer)
    case memory
    /// `file:DIR`, a server that apusfs starts.
    case file(directory: String)
    /// No apusfs at all: a directory of another filesystem, to try the tests themselves.
    case plain(directory: String)

    enum Kind: String, Sendable, CaseIterable {
        case redis, memory, file
    }

    /// What `$APUSFS_TEST_STORE` asks for, which holds where it does not matter to a test.
    static let standardKind: Kind = {
        guard let chosen = ProcessInfo.processInfo.environment["APUSFS_TEST_STORE"],
            plainDirectory == nil
        else { return .redis }
        guard let kind = Kind(rawValue: chosen) else {
            preconditionFailure(
                "APUSFS_TEST_STORE=\(chosen): redis, memory, file or directory:PATH")
        }
        return kind
    }()

    /// What `$APUSFS_TEST_CODEC` asks for, as words for `format` or `mount`.
    static let standardLayout: [String] =
        ProcessInfo.processInfo.environment["APUSFS_TEST_CODEC"].map { ["--codec", $0] } ?? []

    /// What `$APUSFS_TEST_TRANSPORT` asks for, as words for `mount`.
    static let standardTransport: [String] =
        ProcessInfo.processInfo.environment["APUSFS_TEST_TRANSPORT"].map { ["--transport", $0] }
        ?? []

    private static let plainDirectory: String? = {
        let chosen = ProcessInfo.processInfo.environment["APUSFS_TEST_STORE"] ?? ""
        return chosen.hasPrefix("directory:") ? String(chosen.dropFirst("directory:".count)) : nil
    }()

    static func make(_ kind: Kind, in directory: String) throws -> Store {
        if let plainDirectory { return .plain(directory: plainDirectory) }
        switch kind {
        case .redis: return .redis(try RedisServer())
        case .memory: return .memory
        case .file: return .file(directory: directory + "/store")
        }
    }

    /// The source, as the command line names it.
    var source: String {
        switch self {
        case .redis(let server): "unix://" + server.path
        case .memory: "memory:"
        case .file(let directory): "file:" + directory
        case .plain(let directory): directory
        }
    }

    /// Volumes here are formatted by a command of their own before they are mounted.
    var needsFormat: Bool {
        switch self {
        case .redis: true
        case .memory, .file, .plain: false
        }
    }
}
