import ArgumentParser
import FuseServer
import Redis
import VolumeStore

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Show what this program is made of.")

    func run() throws {
        for (name, value) in Self.parts { Console.print("\(name): \(value)") }
    }

    static var parts: [(String, String)] {
        [
            ("apusfs", Version.apusfs),
            ("swift", Version.swift),
            ("allocator", Version.allocator),
            ("libfuse", LibfuseVersion.text),
            ("hiredis", HiredisVersion.text),
            ("OpenSSL", OpenSSLVersion.text),
            ("redis-server", Version.redisServer ?? "not installed (file: sources need it)"),
            ("volume format", "\(VolumeSettings.supportedFormat)"),
        ]
    }
}
