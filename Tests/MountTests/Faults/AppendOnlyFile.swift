import Foundation
import Glibc
import Primitives
import TestSupport

/// The append-only file of a server: the part of it that grows.
struct AppendOnlyFile {
    /// What `appendfsync everysec` may lose: it starts an fsync each second, which takes up to another one.
    static let mayLoseMilliseconds = 2_000

    private let directory: String

    /// Of a server that works in `directory`.
    init(_ directory: String) { self.directory = directory + "/appendonlydir" }

    /// The file of the last rewrite: the one with the greatest number.
    private func path() throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.hasSuffix(".incr.aof") }
        guard let name = names.max(by: { number($0) < number($1) }) else {
            throw Mount.Failure(description: "no append-only file in \(directory)")
        }
        return "\(directory)/\(name)"
    }

    /// appendonly.aof.12.incr.aof
    private func number(_ name: String) -> Int {
        name.split(separator: ".").compactMap { Int($0) }.last ?? 0
    }

    func length() throws -> Int { try state().length }

    /// The file that grows at this moment, and how long it is.
    func state() throws -> (path: String, length: Int) {
        let path = try path()
        return (path, Int(try SystemCall.stat(path).st_size))
    }

    func cut(to length: Int) throws { try SystemCall.truncate(try path(), length) }
}

/// How long a file was, and when.
final class FileLengths: Sendable {
    private struct State {
        var samples: [(instant: Deadline, path: String, length: Int)] = []
        var isStopping = false
    }

    private let state = Monitor(State())
    private let thread = Locked<TestThread?>(nil)

    init(_ file: AppendOnlyFile) {
        let started = TestThread(name: "lengths") { [self] in
            var isStopping = false
            while !isStopping {
                // Asked before the look: what was acknowledged by then is in the length.
                let now = Deadline.now
                guard let (path, length) = Self.state(of: file) else { return }
                isStopping =
                    state.change { state in
                        state.samples.append((now, path, length))
                        return state.isStopping
                    }
                let _: Void? = state.wait(until: .after(milliseconds: 5)) {
                    $0.isStopping ? () : nil
                }
            }
        }
        thread.withLock { $0 = started }
        let _: Void? = state.wait(until: .after(milliseconds: 5_000)) {
            $0.samples.isEmpty ? nil : ()
        }
    }

    private static func state(of file: AppendOnlyFile) -> (String, Int)? {
        do {
            return try file.state()
        } catch {
            return nil
        }
    }

    /// The last length before `instant`, and since when it is no longer certain. After a rewrite another file
    /// grows, none of which was there before: what was, is in the file that the rewrite made.
    func stop(before instant: Deadline) -> (length: Int, since: Deadline) {
        state.change { $0.isStopping = true }
        thread.withLock { $0 }?.join()
        return state.withLock { state in
            let sample = state.samples.last { $0.instant <= instant } ?? state.samples[0]
            let isSameFile = sample.path == state.samples.last?.path
            return (isSameFile ? sample.length : 0, sample.instant)
        }
    }
}
