import Foundation
import Glibc

/// What a process holds at one moment, from /proc (proc(5)).
struct DaemonFigures {
    var residentKiB: Int
    var descriptors: Int
    var threads: Int

    /// `nil` when the process is gone.
    init?(of process: pid_t) {
        let place = "/proc/\(process)"
        guard let status = FileManager.default.contents(atPath: place + "/status") else {
            return nil
        }
        let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
        func number(_ name: String) -> Int? {
            lines.first { $0.hasPrefix(name + ":") }?.split(whereSeparator: { !$0.isNumber }).first
                .flatMap { Int($0) }
        }
        guard let resident = number("VmRSS"), let threads = number("Threads"),
            let names = Self.names(place + "/fd")
        else { return nil }
        residentKiB = resident
        self.threads = threads
        descriptors = names.count
    }

    private static func names(_ path: String) -> [String]? {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            return nil
        }
    }
}
