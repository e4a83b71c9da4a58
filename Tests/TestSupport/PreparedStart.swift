import CLinux
import Foundation
import Primitives

/// A process that waits for its sign and then becomes a redis-server. It ends, if it never got one, with the
/// value.
public final class PreparedStart {
    private let server: RedisServer
    private let process: pid_t
    /// Written to for the sign; closed, for the process to end.
    private var sign: Int32?

    /// The process inherits nothing: neither blocked signals, nor the output of the tests, which would keep
    /// whoever reads that waiting after a crash of the tests.
    init(of server: RedisServer) throws {
        self.server = server
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(nothing) }
        let words = ["env", "sh", "-c", "read -r sign && exec \"$@\"", "sh"] + server.words
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        process = apusfs_spawn(
            "/usr/bin/env", pointers, environ, [ends[0], nothing, nothing], 3, false)
        guard process > 0 else {
            close(ends[1])
            throw RedisServer.StartFailure(
                description: "redis-server: \(String(cString: strerror(-process)))")
        }
        sign = ends[1]
    }

    deinit {
        guard let sign else { return }
        close(sign)
        var status: Int32 = 0
        while waitpid(process, &status, 0) == -1 && errno == EINTR {}
    }

    /// Starts the server and waits until it takes connections.
    public func begin() throws {
        guard let sign else { preconditionFailure("it has begun already") }
        unlink(server.path)
        _ = write(sign, "\n", 1)
        close(sign)
        self.sign = nil
        try server.adopt(process)
    }
}
