import Foundation
import Primitives

/// A program that a test talks to line by line while it runs. It is killed at the latest with the value
/// that holds it.
public final class Talker: @unchecked Sendable {
    public struct Silence: Error, CustomStringConvertible {
        public let description: String
    }

    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private let lines = Lines()
    private var reader: WorkerThread?

    public init(_ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.standardError
        try process.run()
        reader = WorkerThread(name: "talker") { [output, lines] in
            var rest = ""
            while true {
                let data = output.fileHandleForReading.availableData
                if data.isEmpty { break }
                rest += String(decoding: data, as: UTF8.self)
                var parts = rest.split(separator: "\n", omittingEmptySubsequences: false)
                rest = String(parts.removeLast())
                lines.state.change { $0.waiting += parts.map(String.init) }
            }
            lines.state.change { $0.hasEnded = true }
        }
    }

    deinit {
        kill()
        reader?.join()
    }

    private final class Lines: Sendable {
        struct State {
            var waiting: [String] = []
            var hasEnded = false
        }

        let state = Monitor(State())
    }

    /// The next line that the program prints.
    public func line(limitSeconds: Int = 60) throws -> String {
        let deadline = Deadline.after(milliseconds: limitSeconds * 1_000)
        let line = lines.state.wait(until: deadline) { state -> String?? in
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            return state.hasEnded ? .some(nil) : nil
        }
        guard let line, let line else {
            throw Silence(description: "\(process.arguments ?? []) said nothing more")
        }
        return line
    }

    public func say(_ line: String) {
        input.fileHandleForWriting.write(Data((line + "\n").utf8))
    }

    /// The program finds the end of its input.
    public func endInput() { try? input.fileHandleForWriting.close() }

    public func wait() { process.waitUntilExit() }

    public var processID: Int32 { process.processIdentifier }

    /// SIGKILL.
    public func kill() {
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
