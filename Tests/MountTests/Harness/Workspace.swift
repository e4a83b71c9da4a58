import Foundation
import Primitives
import TestSupport

/// Where all mounts of this test run live: one directory in /tmp, of which a guardian process takes care.
///
/// The guardian waits until this process is gone, however it ends, then detaches what is still mounted below
/// the directory, ends the daemons and servers that live there, and removes it.
final class Workspace: Sendable {
    static let shared = Result { try Workspace() }

    let path: String
    private let nextNumber = Locked(0)

    private init() throws {
        path = "/tmp/apusfs-mounts-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        guard mkdir(path, 0o755) == 0 else { throw Errno(rawValue: errno) }
        try Self.startGuardian(of: path)
    }

    /// A directory of its own for one mount.
    func makeDirectory() throws -> String {
        let number = nextNumber.withLock { number in
            number += 1
            return number
        }
        let directory = "\(path)/\(number)"
        guard mkdir(directory, 0o755) == 0 else { throw Errno(rawValue: errno) }
        return directory
    }

    /// Ends servers that a daemon has left behind: those whose working directory is in `directory`.
    static func endServers(in directory: String) {
        let manager = FileManager.default
        for process in (try? manager.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(process),
                let working = try? manager.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd"),
                working.hasPrefix(directory + "/"), pid != getpid()
            else { continue }
            kill(pid, SIGKILL)
        }
    }

    /// Ends only what belongs to the directory: daemons by the pid files in it (if that is still an apusfs),
    /// servers by their working directory.
    private static let script = """
        trap '' INT TERM HUP
        cat > /dev/null
        cut -d ' ' -f 2 /proc/self/mounts | grep -F "$1/" | while read -r at; do umount -l "$at"; done
        for file in "$1"/*/pid "$1"/*/*.pid; do
            pid=$(cat "$file" 2> /dev/null) || continue
            case $(readlink "/proc/$pid/exe") in */apusfs*) kill -9 "$pid" ;; esac
        done
        for process in /proc/[0-9]*; do
            case $(readlink "$process/cwd") in "$1"/*) kill -9 "${process#/proc/}" ;; esac
        done
        rm -rf --one-file-system "$1"
        """

    private static func startGuardian(of path: String) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        // The write end stays open for as long as this process lives, and in no child of it.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let strings: [String] = ["sh", "-c", script, "sh", path]
        var words: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, "sh", &actions, &attributes, words, environ)
        close(ends[0])
        guard result == 0 else { throw Errno(rawValue: result) }
    }
}
